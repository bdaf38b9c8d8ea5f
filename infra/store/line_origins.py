"""Lines that a change removes and adds, and the commits that the removed ones come from."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

from domain.review.landed_lines import ChangedLine
from infra.store.store import Store

_HUNK = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_BLAMED = re.compile(rb"([0-9a-f]{40,64}) \d+ (\d+)(?: \d+)?\n")
_RENAMED = frozenset("RC")
_REGULAR = "100"
_BINARY_BYTES = 8_000  # git looks for a NUL in these
_WHOLE_FILE_HUNKS = 40
"""With more ranges than this the whole file is blamed: the command line stays short."""


@dataclass(frozen=True)
class FileChange:
    """One regular file that differs between two commits; a moved file is one change.

    Attributes:
        path: in the later commit; in the earlier one when the file was deleted.
        source: its path in the earlier commit; None when it is new.
        before, after: object ids of its content, None where it does not exist.
    """

    path: str
    source: str | None
    before: str | None
    after: str | None


@dataclass(frozen=True)
class LineChanges:
    """The lines that differ between two contents of a file, in order."""

    removed: tuple[ChangedLine, ...] = ()
    added: tuple[ChangedLine, ...] = ()


async def changed_files(store: Store, before: str, after: str) -> list[FileChange]:
    """Return the regular files that differ, moves found, in git's order."""
    sides = [await store.full_id(before), await store.full_id(after)]
    words = ("diff-tree", "-r", "-z", "--raw", "--find-renames", "--no-ext-diff", *sides)
    fields = [os.fsdecode(each) for each in (await store.run(*words, reads=True)).out.split(b"\0")]
    found: list[FileChange] = []
    at = 0
    while at < len(fields) and fields[at].startswith(":"):
        old_mode, new_mode, old, new, status = fields[at][1:].split(" ")
        moved = status[0] in _RENAMED
        source, path = fields[at + 1], fields[at + 2 if moved else at + 1]
        at += 3 if moved else 2
        change = FileChange(
            path=path,
            source=source if old_mode.startswith(_REGULAR) else None,
            before=old if old_mode.startswith(_REGULAR) else None,
            after=new if new_mode.startswith(_REGULAR) else None,
        )
        if change.before != change.after:
            found.append(change)
    return found


async def line_changes(store: Store, before: str | None, after: str | None) -> LineChanges:
    """Return the lines that differ between two blobs; None stands for no file.

    A binary file has no lines.
    """
    if before is None or after is None:
        return await _whole(store, before, after)
    words = ("diff", "-U0", "--no-color", "--no-ext-diff", "--no-textconv", before, after)
    removed: list[ChangedLine] = []
    added: list[ChangedLine] = []
    sides = ((0, 0), (0, 0))
    for line in (await store.run(*words, reads=True)).out.split(b"\n"):
        if hunk := _HUNK.match(line):
            sides = (_side(hunk[1], hunk[2]), _side(hunk[3], hunk[4]))
            old, new = (max(side[0], 1) for side in sides)
        elif sides == ((0, 0), (0, 0)):
            continue  # the header
        elif line.startswith(b"-"):
            removed.append(ChangedLine(_text(line[1:]), old, sides[1]))
            old += 1
        elif line.startswith(b"+"):
            added.append(ChangedLine(_text(line[1:]), new, sides[0]))
            new += 1
    return LineChanges(tuple(removed), tuple(added))


def _side(first: bytes, count: bytes | None) -> tuple[int, int]:
    """Return the first and last line of a hunk; of an empty one the line before it, twice."""
    start, lines = int(first), int(count or 1)
    return start, start + max(lines, 1) - 1


async def origins(
    store: Store, since: str, commit: str, path: str, numbers: Sequence[int], *, moves: bool = True
) -> dict[int, str]:
    """Return, for each of these lines of a file, the commit after `since` that it comes from.

    Lines that `since` has already are left out; with `moves` also those that it has in another
    place, which a later commit has moved or copied.
    """
    if not numbers:
        return {}
    ranges = _ranges(numbers)
    limits = [f"-L{first},{last}" for first, last in ranges]
    if len(ranges) > _WHOLE_FILE_HUNKS:
        limits = []
    between = f"{await store.full_id(since)}..{await store.full_id(commit)}"
    follow = ("-M", "-C") if moves else ()
    words = ("blame", "--porcelain", *follow, *limits, between, "--", path)
    out = (await store.run(*words, reads=True)).out
    wanted, found, older, current = set(numbers), dict[int, str](), set[str](), ""
    for line in out.splitlines(keepends=True):
        if line.startswith(b"\t"):
            continue
        if blamed := _BLAMED.match(line):
            current = blamed[1].decode()
            if int(blamed[2]) in wanted:
                found[int(blamed[2])] = current
        elif line == b"boundary\n":
            older.add(current)
    return {number: origin for number, origin in found.items() if origin not in older}


async def _whole(store: Store, before: str | None, after: str | None) -> LineChanges:
    removed, added = await _lines(store, before), await _lines(store, after)
    return LineChanges(_all(removed, len(added)), _all(added, len(removed)))


def _all(lines: Sequence[str], others: int) -> tuple[ChangedLine, ...]:
    return tuple(ChangedLine(line, at, (0, others)) for at, line in enumerate(lines, start=1))


async def _lines(store: Store, blob: str | None) -> tuple[str, ...]:
    data = b"" if blob is None else await store.get_blob(blob)
    if b"\0" in data[:_BINARY_BYTES]:
        return ()
    return tuple(_text(line) for line in data.removesuffix(b"\n").split(b"\n") if data)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")


def _ranges(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Return line numbers as ranges, first and last line each."""
    ranges: list[tuple[int, int]] = []
    for number in sorted(set(numbers)):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ranges
