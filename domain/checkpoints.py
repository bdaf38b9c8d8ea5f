"""What a checkpoint takes, and what it leaves out; with the sentences for agent and person.

The store keeps every checkpoint for good, so one command must not fill it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from domain.command_limits import MB, amount
from domain.text import escaped, listing

_SHOWN: Final = 5
_NAME_CHARS: Final = 120


@dataclass(frozen=True, kw_only=True)
class CheckpointLimits:
    """What one checkpoint may take.

    Attributes:
        file_bytes: a new or changed file that is larger is left out.
        all_bytes: of all new and changed files together.
        files: new and changed.
    """

    file_bytes: int = 50 * MB
    all_bytes: int = 250 * MB
    files: int = 50_000


def checkpoint_limits(*, file_mb: int | None, all_mb: int | None) -> CheckpointLimits:
    """Return the limits, or as set."""
    default = CheckpointLimits()
    return CheckpointLimits(
        file_bytes=file_mb * MB if file_mb else default.file_bytes,
        all_bytes=all_mb * MB if all_mb else default.all_bytes,
    )


def too_large(sizes: Mapping[bytes, int], limits: CheckpointLimits) -> dict[bytes, int]:
    """Return which new and changed files are left out, with their sizes; equal for equal files.

    First those that are too large by themselves, then the largest until the rest fits. Of too many
    files, the whole folders of the top that hold most of them.
    """
    out = {path: size for path, size in sizes.items() if size > limits.file_bytes}
    rest = {path: size for path, size in sizes.items() if path not in out}
    while len(rest) > limits.files:
        folder = _fullest(rest)
        crowded = {path: size for path, size in rest.items() if _top(path) == folder}
        out |= crowded
        rest = {path: size for path, size in rest.items() if path not in crowded}
    left = sum(rest.values())
    for path in sorted(rest, key=lambda path: (-rest[path], path)):
        if left <= limits.all_bytes:
            break
        out[path] = rest[path]
        left -= rest[path]
    return out


def _top(path: bytes) -> bytes:
    return path.partition(b"/")[0]


def _fullest(paths: Iterable[bytes]) -> bytes:
    counts: dict[bytes, int] = {}
    for path in paths:
        counts[_top(path)] = counts.get(_top(path), 0) + 1
    return max(counts, key=lambda name: (counts[name], name))


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Paths of a worktree that its checkpoint does not hold.

    Attributes:
        nested: repositories in it, with a final "/".
        odd: what git takes under no circumstances.
        too_large: with their sizes in bytes.
        too_deep: their paths, or those of folders above them, are too long for git.
    """

    nested: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    too_large: Mapping[str, int] = field(default_factory=dict)
    too_deep: tuple[str, ...] = ()

    def sentences(self, limits: CheckpointLimits) -> tuple[str, ...]:
        """Return what the agent is told: a sentence for each reason, a few paths in each."""
        found = (
            self.nested
            and f"not part of the checkpoint: nested repositories {_names(self.nested)}",
            self.odd
            and f"not part of the checkpoint, as git takes no such files: {_names(self.odd)}",
            self.too_large and large_sentence(self.too_large, limits),
            self.too_deep and deep_sentence(self.too_deep),
        )
        return tuple(each for each in found if each)

    def line(self) -> str:
        """Return it for people, on one line; "" when everything is in the checkpoint."""
        found = (
            self.too_large and f"too large: {_sized(self.too_large)}",
            self.too_deep and f"paths too long: {_names(self.too_deep)}",
            self.nested and f"nested repositories: {_names(self.nested)}",
            self.odd and f"not taken by git: {_names(self.odd)}",
        )
        return "; ".join(each for each in found if each)


def large_sentence(left_out: Mapping[str, int], limits: CheckpointLimits) -> str:
    """Return which files are too large for a checkpoint, its limits, and what to do."""
    return (
        f"not part of the checkpoint, nor of the patch: {_sized(left_out)}. One file "
        f"may have {amount(limits.file_bytes)}, the new and changed files of a checkpoint together "
        f"{amount(limits.all_bytes)} and {limits.files:,} in number: make less, put it into /tmp, "
        "or name it in .gitignore when it is made anew each time"
    )


def deep_sentence(paths: Iterable[str]) -> str:
    """Return which paths are too long for git, and what to do."""
    return (
        f"not part of the checkpoint, nor of the patch: {_names(paths)} and what "
        "lies below: a path longer than 4,000 bytes cannot be recorded, use shorter ones"
    )


def _sized(sizes: Mapping[str, int]) -> str:
    largest = sorted(sizes, key=lambda path: (-sizes[path], path))
    return listing(tuple(f"{_name(path)} ({amount(sizes[path])})" for path in largest), most=_SHOWN)


def _names(paths: Iterable[str]) -> str:
    return listing(tuple(map(_name, paths)), most=_SHOWN)


def _name(path: str) -> str:
    shown = escaped(path)
    return shown if len(shown) <= _NAME_CHARS else f"{shown[:_NAME_CHARS]}…"
