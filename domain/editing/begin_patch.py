"""The form of a patch between `*** Begin Patch` and `*** End Patch`, as models learn it.

    *** Begin Patch
    *** Update File: src/app.py
    *** Move to: src/main.py
    @@ class App:
     a line that stays
    -a line that goes
    +a line that comes
    *** Add File: src/new.py
    +its only line
    *** Delete File: src/old.py
    *** End Patch

`@@` begins a hunk and may name a line above it, several times for a line within a line.
`*** End of File` ends a hunk that ends with the file.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from domain.editing.patch import FilePatch, Hunk, PatchLine, PatchProblem, patch_lines

BEGIN: Final = "*** Begin Patch"
_END = "*** End Patch"
_END_OF_FILE = "*** End of File"
_SECTION = re.compile(r"\*\*\* (Add|Delete|Update) File: *(.+)")
_MOVE = re.compile(r"\*\*\* (?:Move to|Rename to|Move File to): *(.+)")
_RANGE = re.compile(r"@@+ *-(\d+)(?:,\d+)? \+\d+(?:,\d+)? *@@.*")
_ANCHOR = re.compile(r"@@+ ?(.*?)(?: @@+)?")
_MARKS = frozenset(" -+")


def begins(lines: Sequence[str]) -> bool:
    """Return whether lines are written in this form."""
    return any(line.strip() == BEGIN or _SECTION.fullmatch(line.strip()) for line in lines)


def files(lines: Sequence[str]) -> Iterator[FilePatch]:
    """Yield what the patch does to each file, in its order.

    Raises:
        PatchProblem: it is not written in this form.
    """
    at, end = _bounds(lines)
    told = any("\r" in line for line in lines)
    while at < end:
        line = lines[at].strip()
        if not line:
            at += 1
            continue
        section = _SECTION.fullmatch(line)
        if section is None:
            raise PatchProblem(
                f"line {at + 1} belongs to no file: write `*** Update File: path`, "
                "`*** Add File: path` or `*** Delete File: path` before it"
            )
        last = next((i for i in range(at + 1, end) if _SECTION.fullmatch(lines[i].strip())), end)
        yield _section(section, lines[:last], at, told=told)
        at = last


def _bounds(lines: Sequence[str]) -> tuple[int, int]:
    """Return the first line of the patch's inside and the one behind its last.

    What surrounds it, such as the words of a shell, is left out; so may be its two marks.
    """
    plain = [line.strip() for line in lines]
    first = plain.index(BEGIN) + 1 if BEGIN in plain else 0
    last = plain.index(_END) if _END in plain else len(plain)
    if BEGIN in plain[first:last]:
        raise PatchProblem("it begins twice: write one patch with all files, or make several calls")
    if any(_SECTION.fullmatch(line) for line in plain[last:]):
        raise PatchProblem(f"files stand behind `{_END}`: write one patch with all of them")
    return first, last


def _section(found: re.Match[str], lines: Sequence[str], at: int, *, told: bool) -> FilePatch:
    """Return what the lines from `at` on do to one file."""
    kind, path, number = found[1], found[2].strip(), at + 1
    body = at + 1
    if kind == "Add":
        return FilePatch(path, number, added=_added(lines, body, told=told))
    if kind == "Delete":
        if extra := next((i for i in range(body, len(lines)) if lines[i].strip()), None):
            raise PatchProblem(f"line {extra + 1}: nothing follows `*** Delete File: …`")
        return FilePatch(path, number, deleted=True)
    moved = _MOVE.fullmatch(lines[body].strip()) if body < len(lines) else None
    hunks = tuple(_hunks(lines, body + 1 if moved else body, told=told))
    if not hunks and moved is None:
        raise PatchProblem(f"line {number} changes nothing: a hunk, begun by `@@`, is missing")
    return FilePatch(path, number, hunks=hunks, moved_to=moved[1].strip() if moved else None)


def _added(lines: Sequence[str], at: int, *, told: bool) -> str:
    found = list(lines[at:])
    while found and not found[-1].strip():
        found.pop()
    wrong = next((at + i for i, line in enumerate(found) if not line.startswith("+")), None)
    if wrong is not None:
        raise PatchProblem(f"line {wrong + 1}: each line of an added file begins with `+`")
    ends = "\n" if found else ""
    text = "\n".join(line[1:] for line in found) + ends
    return text if told else text.replace("\r\n", "\n")


def _hunks(lines: Sequence[str], at: int, *, told: bool) -> Iterator[Hunk]:
    end = len(lines)
    while end > at and not lines[end - 1].strip():
        end -= 1  # blank lines before the next file
    while at < end:
        number, start, anchors = at + 1, None, []
        while at < end and lines[at].startswith("@@"):
            line = lines[at].rstrip()
            ranged = _RANGE.fullmatch(line)
            start = int(ranged[1]) or None if ranged else start
            anchor = None if ranged else _ANCHOR.fullmatch(line)
            anchors += [anchor[1]] if anchor and anchor[1].strip(" .") else []
            at += 1
        body, at_end, at = _body(lines, at, end, told=told)
        if not body:
            raise PatchProblem(f"line {number}: the hunk has no lines")
        yield Hunk(tuple(body), number, start=start, anchors=tuple(anchors), at_end=at_end)


def _body(
    lines: Sequence[str], at: int, end: int, *, told: bool
) -> tuple[list[PatchLine], bool, int]:
    """Return the lines of a hunk, whether it ends with the file, and where it ends."""
    body: list[PatchLine] = []
    while at < end and not lines[at].startswith("@@"):
        line = lines[at]
        at += 1
        if line.strip() == _END_OF_FILE:
            return body, True, at
        if line.rstrip("\r") == "":
            line = f" {line}"  # a blank line that stays, without its mark
        if line[0] not in _MARKS:
            raise PatchProblem(
                f"line {at}: each line of a hunk begins with ` ` (it stays), `-` (it goes) or `+` "
                "(it comes)"
            )
        body.extend(patch_lines(line[0], line[1:], told=told))
    return body, False, at
