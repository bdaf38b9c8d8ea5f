"""
What the store's callers hold in their hands, its errors, and git's answers read into values.

Pure: nothing here runs git or touches a file.
"""

import enum
import os
import re
from dataclasses import dataclass
from typing import Final, Literal

from typing_extensions import override

from infra.git.command import GitResult
from infra.store.objects import OID

COMPLAINT = re.compile(r"^(?:error|fatal):", re.MULTILINE)
"""A line of stderr that voids whatever the exit code says."""


class StoreError(Exception):
    """
    The store could not do what was asked: a wrong argument or a broken environment.

    Never a verdict on the work: retry, repair or ask, but do not evict a patch for it.
    """


class ObjectMissing(Exception):  # noqa: N818 - named for what happened
    """
    An object, or one it needs, is not in the store.

    Attributes:
        name: what was asked for.
        detail: what git said; may be empty.
    """

    def __init__(self, name: str, detail: str = "") -> None:
        self.name = name
        self.detail = detail
        super().__init__(name, detail)

    @override
    def __str__(self) -> str:
        return f"not in the store: {self.name}" + (f" ({self.detail})" if self.detail else "")


class RefConflict(Exception):  # noqa: N818 - named for what happened
    """
    A reference is not where the caller thought: somebody else was faster.

    Attributes:
        ref: its full name.
        expected: the id the caller named; None = it should not exist.
        actual: the id found; None = it does not exist.
    """

    def __init__(self, ref: str, expected: str | None, actual: str | None) -> None:
        self.ref = ref
        self.expected = expected
        self.actual = actual
        super().__init__(ref, expected, actual)

    @override
    def __str__(self) -> str:
        return f"{self.ref} is at {self.actual}, expected {self.expected}"


class BranchTaken(Exception):  # noqa: N818 - named for what happened
    """
    The person's repository already has a branch of that name with other content.

    Attributes:
        branch: the short name.
        at: the id it points at.
    """

    def __init__(self, branch: str, at: str) -> None:
        self.branch = branch
        self.at = at
        super().__init__(branch, at)

    @override
    def __str__(self) -> str:
        return f"the branch {self.branch} already exists at {self.at}"


class AnyValue(enum.Enum):
    """The type of ANY."""

    ANY = "any"
    """The reference may be anywhere, or missing."""


ANY: Final = AnyValue.ANY
"""As the old value of an update: do not compare."""


@dataclass(frozen=True)
class RefUpdate:
    """
    One move of a reference.

    Attributes:
        ref: full name below `refs/oc/`.
        new: the id it shall have; None = delete it.
        old: the id it must have now; None = it must not exist; ANY = whatever.
    """

    ref: str
    new: str | None
    old: str | Literal[AnyValue.ANY] | None


@dataclass(frozen=True)
class PathChange:
    """
    One path that differs between two trees; a moved file is one D and one A.

    Attributes:
        path: from the root, components separated by "/".
        status: A added, M modified (content or mode), D deleted, T another type of entry.
        added_lines: None = binary.
        deleted_lines: None = binary.
    """

    path: str
    status: Literal["A", "M", "D", "T"]
    added_lines: int | None
    deleted_lines: int | None


@dataclass(frozen=True)
class Merged:
    """
    The two sides merge cleanly.

    Attributes:
        tree: id of the merged tree, in the store.
    """

    tree: str


@dataclass(frozen=True)
class Conflicted:
    """
    The two sides do not merge by themselves.

    Attributes:
        paths: the conflicted paths, sorted, each once.
        messages: what git says about them, one per line.
        tree: the merge as far as it goes, conflict markers where it does not; never to be landed.
    """

    paths: tuple[str, ...]
    messages: str
    tree: str


def path_parts(path: str) -> tuple[str, ...]:
    """
    Split a path of a tree into its components.

    Raises:
        StoreError: it is empty, absolute, or climbs.
    """
    parts = tuple(path.split("/"))
    if any(part in {"", ".", ".."} for part in parts) or "\0" in path:
        raise StoreError(f"{path!r} is no path inside a tree")
    return parts


def parse_changes(out: bytes) -> list[PathChange]:
    """Read the output of `diff-tree -r -z --raw --numstat`."""
    fields = [os.fsdecode(field) for field in out.split(b"\0") if field]
    status: dict[str, str] = {}
    at = 0
    while at < len(fields) and fields[at].startswith(":"):
        status[fields[at + 1]] = fields[at].split(" ")[4]
        at += 2
    counts: dict[str, tuple[int | None, int | None]] = {}
    for row in fields[at:]:
        added, deleted, path = row.split("\t", 2)
        counts[path] = (_lines(added), _lines(deleted))
    return [_change(path, letter, counts.get(path, (0, 0))) for path, letter in status.items()]


def _change(path: str, letter: str, counts: tuple[int | None, int | None]) -> PathChange:
    if letter in {"A", "M", "D", "T"}:
        kind: Literal["A", "M", "D", "T"] = letter  # type: ignore[assignment]
        return PathChange(path, kind, *counts)
    raise StoreError(f"git reports {path!r} with the status {letter!r}")


def _lines(word: str) -> int | None:
    return None if word == "-" else int(word)


def parse_merge(found: GitResult) -> Merged | Conflicted | None:
    """Return the verdict; None = git's answer is neither a clean merge nor a conflict."""
    tree, _, rest = found.out.partition(b"\0")
    if COMPLAINT.search(found.err) or OID.fullmatch(tree.decode("ascii", "replace")) is None:
        return None
    if found.code == 0:
        return Merged(tree.decode("ascii"))
    entries, _, messages = rest.partition(b"\0\0")
    rows = [os.fsdecode(row) for row in entries.split(b"\0") if row]
    paths = sorted({row.split("\t", 1)[1] for row in rows if "\t" in row})
    return Conflicted(tuple(paths), _merge_messages(messages), tree.decode("ascii"))


def _merge_messages(data: bytes) -> str:
    fields = data.decode("utf-8", "replace").split("\0")
    lines: list[str] = []
    at = 0
    while at < len(fields) and fields[at].isdigit():
        end = at + int(fields[at]) + 3  # number of paths, the paths, the type, the text
        lines.append(fields[end - 1].strip())
        at = end
    return "\n".join(lines)
