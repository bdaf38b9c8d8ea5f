"""Unified diffs, read by `unidiff`, as git writes them and as agents do.

An agent miscounts the lines of its hunks, and leaves out where they begin. What a hunk holds is
told by its lines, so its heading is counted again before it is parsed.
"""

import re
from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Final

from unidiff.errors import UnidiffParseError
from unidiff.patch import Hunk as ParsedHunk
from unidiff.patch import PatchedFile, PatchSet

from domain.editing.patch import FilePatch, Hunk, PatchLine, PatchProblem, patch_lines

_NOWHERE: Final = "/dev/null"
_FORM = (
    "write a unified diff (`--- a/path`, `+++ b/path`, `@@ -1,2 +1,3 @@`, lines that begin with "
    "` `, `-` or `+`) or the form that begins with `*** Begin Patch`"
)
_RANGES = re.compile(r"@@+ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_SPECIAL = MappingProxyType({"120000": "a symbolic link", "160000": "a submodule"})
_EXECUTABLE = "100755"
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_ESCAPED = MappingProxyType(
    {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"b": b"\b", b"f": b"\f", b"v": b"\v"}
)


def files(lines: Sequence[str]) -> Iterator[FilePatch]:
    """Yield what the diff does to each file, in its order.

    Raises:
        PatchProblem: it is no unified diff, or does what is not done here.
    """
    counted = _counted(lines)
    told = any("\r" in line for line in counted)
    try:
        parsed = PatchSet("".join(f"{line}\n" for line in counted))
    except UnidiffParseError as error:
        raise PatchProblem(f"it cannot be read ({error}): {_FORM}") from error
    if not parsed:
        raise PatchProblem(f"no file is changed by it: {_FORM}")
    for each in parsed:
        yield _file(each, told=told)


# ---- headings, counted again


def _counted(lines: Sequence[str]) -> list[str]:
    """Return the lines with headings of hunks that count what follows."""
    counted = list(lines)
    at = 0
    while at < len(lines):
        if lines[at].startswith("@@"):
            heading, at = at, _behind_hunk(lines, at)
            counted[heading] = _heading(lines[heading], lines[heading + 1 : at])
            continue
        stray = lines[at][:1] in {"+", "-"} and not _is_header(lines, at)
        if stray and lines[at].rstrip() not in {"--", "---"}:
            raise PatchProblem(f"line {at + 1} belongs to no hunk, which `@@` begins: {_FORM}")
        at += 1
    return counted


def _is_header(lines: Sequence[str], at: int) -> bool:
    """Return whether a line is one of the two that name a file."""
    if lines[at].startswith("--- "):
        return at + 1 < len(lines) and lines[at + 1].startswith("+++ ")
    return lines[at].startswith("+++ ") and at > 0 and lines[at - 1].startswith("--- ")


def _behind_hunk(lines: Sequence[str], at: int) -> int:
    """Return the index behind the last line of the hunk that begins at an index."""
    ranges = _RANGES.match(lines[at])
    old, new = (int(ranges[2] or 1), int(ranges[4] or 1)) if ranges else (0, 0)
    at += 1
    while at < len(lines):
        line = lines[at].rstrip("\r")
        mark = line[:1] or " "
        if old <= 0 and new <= 0 and not _goes_on(lines, at):
            break
        if mark not in {" ", "-", "+", "\\"}:
            if line.startswith(("@@", "diff --git ")):
                break
            raise PatchProblem(
                f"line {at + 1}: each line of a hunk begins with ` ` (it stays), `-` (it goes) or "
                "`+` (it comes)"
            )
        if (old > 0 or new > 0) and _is_header(lines, at) and _is_heading(lines, at + 2):
            break  # fewer lines than its heading says
        old, new = old - (mark in " -"), new - (mark in " +")
        at += 1
    return at if ranges and old == new == 0 else _without_blank_lines(lines, at)


def _is_heading(lines: Sequence[str], at: int) -> bool:
    return at < len(lines) and lines[at].startswith("@@")


def _goes_on(lines: Sequence[str], at: int) -> bool:
    """Return whether a hunk has lines beyond those that its heading says."""
    # An empty line may part two files; one with a blank is a line of the hunk.
    behind = next((i for i in range(at, len(lines)) if lines[i].rstrip("\r")), None)
    if behind is None or lines[behind][:1] not in {" ", "-", "+", "\\"}:
        return False
    return not _is_header(lines, behind) and lines[behind].rstrip() != "--"


def _without_blank_lines(lines: Sequence[str], behind: int) -> int:
    """Return the index behind a hunk without blank lines at its end: they part it from the next."""
    while lines[behind - 1].rstrip("\r") == "":
        behind -= 1
    return behind


def _heading(heading: str, body: Sequence[str]) -> str:
    ranges = _RANGES.match(heading)
    old = sum(line[:1] not in {"+", "\\"} for line in body)
    new = sum(line[:1] not in {"-", "\\"} for line in body)
    # A hunk with old lines cannot begin at line 0: that says that no line is known.
    first, then = (ranges[1], ranges[3]) if ranges else ("0", "0")
    return f"@@ -{first},{old} +{then},{new} @@"


# ---- from what unidiff read


def _file(parsed: PatchedFile, *, told: bool) -> FilePatch:
    number = parsed.diff_line_no or 1
    info = [line.rstrip("\r\n") for line in parsed.patch_info or ()]
    _refuse_special(parsed, info)
    path, target = _paths(parsed, info, number)
    hunks = tuple(_hunk(each, told=told) for each in parsed)
    if _unquoted(parsed.source_file) == _NOWHERE:
        executable = True if parsed.target_mode == _EXECUTABLE else None
        return FilePatch(target, number, added=_new_text(hunks, target), executable=executable)
    if _unquoted(parsed.target_file) == _NOWHERE:
        return FilePatch(path, number, hunks=hunks, deleted=True)
    executable = None
    if parsed.source_mode != parsed.target_mode:
        executable = parsed.target_mode == _EXECUTABLE
    moved = target if target != path else None
    if not hunks and moved is None and executable is None:
        raise PatchProblem(f"line {number} changes nothing of {path}: it has no hunk")
    return FilePatch(path, number, hunks=hunks, moved_to=moved, executable=executable)


def _refuse_special(parsed: PatchedFile, info: Sequence[str]) -> None:
    path = _without_prefix(_unquoted(parsed.path), "ab")
    if parsed.is_binary_file:
        raise PatchProblem(f"{path} is binary: a patch changes text alone")
    kinds = {_SPECIAL.get(mode or "", "") for mode in (parsed.source_mode, parsed.target_mode)}
    if kind := "".join(kinds):
        raise PatchProblem(f"{path} is {kind}: a patch changes files alone")
    if any(line.startswith("copy from ") for line in info):
        raise PatchProblem(f"{path} is copied: add the file with its text")


def _paths(parsed: PatchedFile, info: Sequence[str], number: int) -> tuple[str, str]:
    """Return the path before and after; the same unless the diff says that it was renamed."""
    source, target = _unquoted(parsed.source_file), _unquoted(parsed.target_file)
    if _NOWHERE not in {source, target}:
        source, target = _without_prefixes(source, target)
    source, target = (
        _without_prefix(each, "ab") if _NOWHERE in {source, target} else each
        for each in (source, target)
    )
    named = {
        word: _unquoted(line.removeprefix(f"rename {word} "))
        for line in info
        for word in ("from", "to")
        if line.startswith(f"rename {word} ")
    }
    if len(named) == 2:
        return named["from"], named["to"]
    if _NOWHERE in {source, target} or source == target:
        return source, target
    raise PatchProblem(
        f"line {number} names two files, {source} and {target}: to move one, write `diff --git` "
        "with `rename from …` and `rename to …`, or `*** Move to: …` in the other form"
    )


def _without_prefixes(source: str, target: str) -> tuple[str, str]:
    """Return two paths without the letters that git puts before them, where both have them."""
    pairs = (("a/", "b/"), ("b/", "a/"), ("i/", "w/"), ("c/", "i/"), ("c/", "w/"), ("o/", "w/"))
    for before, after in pairs:
        if source.startswith(before) and target.startswith(after):
            return source[2:], target[2:]
    return source, target


def _without_prefix(path: str, letters: str) -> str:
    return path[2:] if path[1:2] == "/" and path[:1] in letters else path


def _unquoted(name: str) -> str:
    """Return a path that git may have put in quotes, with escapes for bytes that are not ASCII."""
    name = name.strip()
    if len(name) < 2 or not (name.startswith('"') and name.endswith('"')):
        return name

    def one(found: re.Match[bytes]) -> bytes:
        code = found[1]
        return bytes([int(code, 8) & 0xFF]) if len(code) == 3 else _ESCAPED.get(code, code)

    return _ESCAPE.sub(one, name[1:-1].encode()).decode("utf-8", "replace")


def _hunk(parsed: ParsedHunk, *, told: bool) -> Hunk:
    lines: list[PatchLine] = []
    unended: set[str] = set()
    rows = [(row.line_type, row.value.removesuffix("\n")) for row in parsed]
    for place, (mark, text) in enumerate(rows):
        if mark in {"\\", ""}:  # of the line before; a blank line between hunks
            continue
        ends = place + 1 == len(rows) or rows[place + 1][0] != "\\"
        unended |= set() if ends else {mark}
        lines.extend(patch_lines(mark, text, told=told, last_end="\n" if ends else ""))
    start: int | None = parsed.source_start
    if parsed.source_start == 0 and (parsed.source_length or parsed.target_start == 0):
        start = None
    kept = " " in unended
    ends_of_file = (
        (not kept and "-" not in unended, not kept and "+" not in unended) if unended else None
    )
    number = next((row.diff_line_no for row in parsed if row.diff_line_no), 2) - 1
    return Hunk(tuple(lines), number, start=start, at_end=bool(unended), ends=ends_of_file)


def _new_text(hunks: Sequence[Hunk], path: str) -> str:
    """Return the text of a file that a diff adds."""
    lines = [line for hunk in hunks for line in hunk.lines]
    if any(line.mark != "+" for line in lines):
        raise PatchProblem(f"{path} is a new file: each of its lines begins with `+`")
    ended = not hunks or hunks[-1].ends is None or hunks[-1].ends[1]
    text = "".join(f"{line.text}{line.end or chr(10)}" for line in lines)
    return text if ended else text.removesuffix("\n")
