"""One change of the dataset as a repository: its base, its features, and what a pair comes to."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.cooperbench.agent import merged_lines, woven
from bench.cooperbench.dataset import Change, DatasetError, Feature, Pair
from bench.cooperbench.objects import Git
from domain.review.commit_message import TRAILER

RIGHT = ("clean", "woven")
"""What keeps both sides as a careful mind would: the clean merge, or every word of both."""
STACKED = "stacked"
"""Every line of both sides, also those that the other side has replaced."""
WRONG = ("own", "own-files", "landed")
"""Resolutions that drop a side: in each conflict, or in every file that the patch changes."""


@dataclass(frozen=True)
class Outcome:
    """What becomes of a pair whose first feature has landed.

    Attributes:
        landed: the commit of the first feature.
        own: the second feature on the base.
        conflicts: paths.
        trees: of the whole, by how it was resolved; "clean" when nothing conflicts.
    """

    landed: str
    own: str
    conflicts: tuple[str, ...]
    trees: Mapping[str, str]


class Workshop:
    """A repository that borrows a mirror's objects.

    Args:
        folder: where it is made; must not exist.
        extra: files that its base has besides those of the dataset's commit.
    """

    def __init__(
        self, change: Change, mirror: Path, folder: Path, extra: Mapping[str, bytes] | None = None
    ) -> None:
        folder.mkdir(parents=True)
        self.git = Git(folder)
        self.git.run("init", "-q", "--bare", str(folder))
        alternates = folder / "objects" / "info" / "alternates"
        alternates.write_text(f"{(mirror / 'objects').resolve()}\n")
        self.change = change
        tree = self.git.text("rev-parse", f"{change.base}^{{tree}}")
        lost: dict[str, bytes | None] = dict.fromkeys(self.git.missing(tree))
        self.base_tree = self.git.with_files(tree, {**lost, **(extra or {})})
        self.base = self.git.commit(self.base_tree, message="Base\n")
        self.git.run("update-ref", "refs/heads/main", self.base)
        self._trees: dict[int, str] = {}

    def tree(self, feature: Feature) -> str:
        """Return the base's tree with a feature.

        Raises:
            DatasetError: its patch does not apply.
        """
        if feature.number not in self._trees:
            self._trees[feature.number] = self.git.applied(self.base_tree, feature.patch)
        return self._trees[feature.number]

    def applies(self, feature: Feature) -> bool:
        """Return whether a feature's patch applies to the base."""
        try:
            self.tree(feature)
        except DatasetError:
            return False
        return True

    def commit(self, feature: Feature) -> str:
        """Return a feature as one commit on the base, with its task's trailer."""
        message = f"{feature.title}\n\n{TRAILER}: {feature.task}\n"
        return self.git.commit(self.tree(feature), self.base, message=message)

    def paths(self, feature: Feature) -> list[str]:
        """Return the paths that a feature changes."""
        return self.git.changed(self.base_tree, self.tree(feature))

    def outcome(self, pair: Pair) -> Outcome:
        """Return what comes of the second feature on top of the first, resolved in every way."""
        landed, own = self.commit(pair.first), self.commit(pair.second)
        tree, conflicts = self.git.merge(landed, own)
        own_files = {path: self.git.content(own, path) for path in self.paths(pair.second)}
        trees = {"own-files": self.git.with_files(landed, own_files)}
        if not conflicts:
            return Outcome(landed, own, (), {**trees, "clean": tree})
        for name, keep in (("stacked", "union"), ("own", "theirs"), ("landed", "ours")):
            trees[name] = self.git.with_files(tree, self._merged(landed, own, conflicts, keep))
        words = {path: woven(*self._sides(landed, own, path)) for path in conflicts}
        if None not in words.values():
            trees["woven"] = self.git.with_files(tree, words)
        return Outcome(landed, own, conflicts, trees)

    def _sides(self, landed: str, own: str, path: str) -> tuple[bytes, bytes, bytes]:
        sides = [self.git.content(each, path) or b"" for each in (landed, self.base, own)]
        return sides[0], sides[1], sides[2]

    def _merged(
        self, landed: str, own: str, paths: tuple[str, ...], keep: str
    ) -> dict[str, bytes | None]:
        return {path: merged_lines(*self._sides(landed, own, path), keep=keep) for path in paths}

    def keep(self, name: str, commit: str) -> None:
        """Name a commit, so that a copy of this repository has it."""
        self.git.run("update-ref", f"refs/heads/{name}", commit)


def broken(workshop: Workshop) -> list[int]:
    """Return the features whose patches do not apply."""
    return [each.number for each in workshop.change.features if not workshop.applies(each)]
