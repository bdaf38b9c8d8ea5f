"""Where the hunks of a patch belong in a file, and what they make of it.

Every hunk is found in the file as it was before the patch: at the line that it names when it
stands there, else at the one place that has its lines, by the ways of `matching`. What it keeps
stays byte for byte. There is no place for a hunk that is nowhere, or at several places.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Final, TypeAlias

from domain.editing.document import Document
from domain.editing.matching import PLACES_LIMIT, MatchKind, blended, find, occurrences
from domain.editing.nearest import nearest
from domain.editing.patch import Hunk, PatchLine
from domain.text import listing

_MOST_LISTED: Final = 10
_CLOSING: Final = (")", "]", "}")

_Row: TypeAlias = tuple[str, str]
"""A line of a file and its end."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What hunks made of a file.

    Attributes:
        places: the first and last line of each hunk in the file as it was, in order.
        notes: what the agent should know of how they were found.
    """

    document: Document
    places: tuple[tuple[int, int], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Misfits:
    """Why hunks do not fit a file, a sentence or more each, in words for the agent."""

    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a hunk belongs.

    Attributes:
        first: index of the line at which its old lines begin.
        new: its new lines as they read there.
        note: how it was found, "" for exactly.
    """

    first: int
    new: tuple[str, ...]
    note: str = ""
    kind: MatchKind = MatchKind.EXACT


@dataclass(frozen=True, slots=True)
class _Run:
    """Lines from `first` to before `last` that give way to others."""

    first: int
    last: int
    lines: tuple[_Row, ...]
    hunk: Hunk


class _Lines:
    """The lines of a file, ready to be searched many times."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.held = document.contents[: document.line_count]
        self.ends = document.ends[: document.line_count]
        self._joined = "\n" + "".join(f"{line}\n" for line in self.held)
        self._starts = tuple(accumulate((len(line) + 1 for line in self.held), initial=0))

    def stands_at(self, old: tuple[str, ...], first: int) -> bool:
        return first >= 0 and self.held[first : first + len(old)] == old

    def places(self, old: Sequence[str]) -> list[int]:
        """Return the index of each line from which on these lines follow, at most some."""
        wanted = "\n" + "".join(f"{line}\n" for line in old)
        found = []
        for at in occurrences(self._joined, wanted):
            found.append(bisect_right(self._starts, at) - 1)
            if len(found) == PLACES_LIMIT:
                break
        return found


def apply(document: Document, hunks: Sequence[Hunk], *, staleness: str) -> Applied | Misfits:
    """Return what the hunks make of a file, or why they do not fit.

    `staleness` says that the agent has not seen this version of the file, "" when it has: then
    only what is there line for line counts.
    """
    lines = _Lines(document)
    places: list[_Place] = []
    problems: list[str] = []
    shift = 0
    for hunk in hunks:
        found = _place(lines, hunk, shift=shift, staleness=staleness)
        if isinstance(found, str):
            problems.append(f"The hunk at line {hunk.number} of the patch {found}")
            continue
        places.append(found)
        shift = found.first - (hunk.start - 1) if hunk.start and hunk.old else shift
    if problems:
        return Misfits(tuple(problems))
    pairs = list(zip(hunks, places, strict=True))
    runs = sorted(
        (run for hunk, place in pairs for run in _runs(lines, hunk, place)),
        key=lambda run: (run.first, run.last),
    )
    for before, after in pairwise(runs):
        if after.first < before.last:
            said = f"hunks at lines {before.hunk.number} and {after.hunk.number} of the patch"
            return Misfits((f"The {said} change the same lines of the file",))
    spans = tuple((each.first + 1, each.first + max(len(hunk.old), 1)) for hunk, each in pairs)
    notes = tuple(dict.fromkeys(each.note for each in places if each.note))
    return Applied(_with_runs(lines, runs, ended=_last_end(lines, pairs)), spans, notes)


# ---- finding


def _place(lines: _Lines, hunk: Hunk, *, shift: int, staleness: str) -> _Place | str:
    """Return where a hunk belongs, or why that cannot be told."""
    old, new = hunk.old, hunk.new
    if not old:
        return _insertion(lines, hunk, staleness)
    if hunk.start is not None and lines.stands_at(old, hunk.start - 1) and _ends_fit(lines, hunk):
        return _Place(hunk.start - 1, new)
    found = lines.places(old)
    if found:
        first = _chosen(lines, hunk, found, shift)
        return _Place(first, new) if isinstance(first, int) else first
    return _forgiving(lines, hunk, shift=shift, staleness=staleness)


def _ends_fit(lines: _Lines, hunk: Hunk) -> bool:
    """Return whether a hunk that ends with the file would end there at the line that it names."""
    return not hunk.at_end or (hunk.start or 1) - 1 + len(hunk.old) == len(lines.held)


def _insertion(lines: _Lines, hunk: Hunk, staleness: str) -> _Place | str:
    """Return where a hunk belongs that has no line to be found by."""
    count = len(lines.held)
    if hunk.at_end or not count:
        return _Place(count, hunk.new)
    if hunk.start is None:
        return "has no line that stands in the file: give some of the lines around the new ones"
    if staleness:
        return f"has no line to be checked by, and {staleness}: give lines around the new ones"
    if hunk.start > count:
        return f"begins behind line {hunk.start}, but the file has {count} lines"
    return _Place(hunk.start, hunk.new)


def _chosen(lines: _Lines, hunk: Hunk, found: Sequence[int], shift: int) -> int | str:
    """Return which of several places is meant, or that it cannot be told."""
    if len(found) == 1:
        return found[0]
    at_end = len(lines.held) - len(hunk.old)
    if hunk.at_end and at_end in found:
        return at_end
    if hunk.start is not None:
        near = {hunk.start - 1, hunk.start - 1 + shift} & set(found)
        if len(near) == 1:
            return near.pop()
    elif hunk.anchors:
        inside = _inside(lines, hunk.anchors, found)
        if len(inside) == 1:
            return inside[0]
        found = inside or found
    listed = ", ".join(str(first + 1) for first in found[:_MOST_LISTED])
    more = " and further ones" if len(found) > _MOST_LISTED else ""
    return f"fits {len(found)} places, at lines {listed}{more}: give more of the lines around it"


def _inside(lines: _Lines, anchors: Sequence[str], found: Sequence[int]) -> list[int]:
    """Return the places that stand in what one chain of anchor lines begins."""
    scopes = [(0, len(lines.held))]
    for anchor in anchors:
        scopes = [
            (at + 1, _scope_end(lines.held, at, end))
            for first, end in scopes
            for at in _begin_with(lines.held[first:end], anchor.strip(), first)
        ]
    return [at for at in found if any(first <= at < end for first, end in scopes)]


def _begin_with(held: Sequence[str], wanted: str, offset: int) -> list[int]:
    """Return the lines that an anchor is; where none is, those that begin with it."""
    plain = [line.strip() for line in held]
    same = [offset + at for at, line in enumerate(plain) if line == wanted]
    return same or [offset + at for at, line in enumerate(plain) if line.startswith(wanted)]


def _scope_end(held: Sequence[str], at: int, most: int) -> int:
    """Return the index behind what a line begins, by the indentation of what follows."""
    depth = _depth(held[at])
    for index in range(at + 1, most):
        line = held[index]
        if line.strip() and _depth(line) <= depth and not line.strip().startswith(_CLOSING):
            return index
    return most


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def _forgiving(lines: _Lines, hunk: Hunk, *, shift: int, staleness: str) -> _Place | str:
    """Return the place of lines that stand nowhere exactly, by the other ways of matching."""
    old, new = "\n".join(hunk.old), "\n".join(hunk.new)
    matches = find(lines.document, old, new, whole=True)
    starts = lines.document.starts
    found = {bisect_right(starts, match.start) - 1: match for match in matches}
    count = len(lines.held)  # a blank line behind the last one is none of the file
    found = {at: match for at, match in found.items() if at + len(hunk.old) <= count}
    if not found:
        return _nowhere(lines, hunk, staleness)
    first = _chosen(lines, hunk, sorted(found), shift)
    if not isinstance(first, int):
        return first
    match = found[first]
    if staleness:
        return (
            f"fits line {first + 1} only when differences in {match.kind} are ignored, and "
            f"{staleness}: view the file first"
        )
    note = f"a hunk was found after ignoring differences in {match.kind}"
    return _Place(first, tuple(match.new.split("\n")) if hunk.new else (), note, match.kind)


def _nowhere(lines: _Lines, hunk: Hunk, staleness: str) -> str:
    if hunk.new and len(there := lines.places(hunk.new)) == 1:
        return f"fits nowhere, and its new lines stand at line {there[0] + 1} already"
    said = f"fits nowhere in the file ({staleness})" if staleness else "fits nowhere in the file"
    near = nearest(lines.document.contents, hunk.old, called="the patch")
    return "\n".join([f"{said}.", near or "View it, and quote its lines as they stand."])


# ---- changing


def _runs(lines: _Lines, hunk: Hunk, place: _Place) -> Iterator[_Run]:
    """Yield the lines that a hunk changes; what it keeps belongs to none."""
    told = _tells_ends(lines, hunk, place.first)
    at, new = place.first, iter(place.new)
    going: list[str] = []
    coming: list[PatchLine] = []
    for line in (*hunk.lines, PatchLine(" ", "")):
        if line.mark == "-":
            going.append(line.text)
            continue
        if line.mark == "+":
            coming.append(replace(line, text=next(new)))
            continue
        if going or coming:
            rows = _rows(lines, at, going, coming, told=told, kind=place.kind)
            yield _Run(at, at + len(going), tuple(rows), hunk)
            at += len(going)
            going, coming = [], []
        next(new, None)
        at += 1


def _tells_ends(lines: _Lines, hunk: Hunk, first: int) -> bool:
    """Return whether the line ends that a hunk gives to its old lines are those of the file."""
    old = [line.end for line in hunk.lines if line.mark != "+"]
    ends = lines.ends[first : first + len(old)]
    return any(line.end for line in hunk.lines) and all(
        end in {held, ""} or not held for end, held in zip(old, ends, strict=False)
    )


def _rows(
    lines: _Lines,
    at: int,
    going: Sequence[str],
    coming: Sequence[PatchLine],
    *,
    told: bool,
    kind: MatchKind,
) -> Iterator[_Row]:
    """Yield what takes the place of the lines from an index on; an empty end: as the one before."""
    for step, line in enumerate(coming):
        paired = step < len(going)
        text = line.text
        if paired and kind is MatchKind.PUNCTUATION:
            text = blended(lines.held[at + step], going[step], text)
        yield text, line.end if told else lines.ends[at + step] if paired else ""


def _last_end(lines: _Lines, pairs: Sequence[tuple[Hunk, _Place]]) -> bool:
    """Return whether the last line has an end afterwards."""
    count = len(lines.held)
    changed = [
        hunk.ends[1]
        for hunk, place in pairs
        if hunk.ends and hunk.ends[0] != hunk.ends[1] and place.first + len(hunk.old) == count
    ]
    return changed[-1] if changed else not lines.held or lines.ends[-1] != ""


def _with_runs(lines: _Lines, runs: Sequence[_Run], *, ended: bool) -> Document:
    document = lines.document
    contents: list[str] = []
    ends: list[str] = []
    at = 0
    for run in (*runs, None):
        upto = run.first if run else len(lines.held)
        contents += lines.held[at:upto]
        ends += lines.ends[at:upto]
        if run:
            contents += [text for text, _ in run.lines]
            ends += [end for _, end in run.lines]
            at = run.last
    _complete(contents, ends, document.main_end)
    if contents and not ended:
        ends[-1] = ""
    elif contents:
        contents, ends = [*contents, ""], [*ends, ""]
    return replace(document, contents=tuple(contents) or ("",), ends=tuple(ends) or ("",))


def _complete(contents: Sequence[str], ends: list[str], default: str) -> None:
    """Give each line an end that has none: that of the line before."""
    before = ""
    for index, known in enumerate(ends):
        end = known or before or default
        if (before, contents[index], end) == ("\r", "", "\n"):
            end = "\r\n"  # behind a lone CR its LF would read as one line end
        ends[index] = before = end


def said_lines(places: Sequence[tuple[int, int]]) -> str:
    """Return where hunks were applied, for the agent."""
    spans = tuple(f"{first}-{last}" if last > first else f"{first}" for first, last in places)
    word = "line" if len(spans) == 1 and "-" not in spans[0] else "lines"
    return f"{word} {listing(spans, most=_MOST_LISTED)}"
