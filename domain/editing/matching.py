"""Where in a file the text an agent quotes stands: five ways, each a little more forgiving.

1. exact. 2. exact but for line ends. 3. whole lines, trailing blanks ignored. 4. whole lines,
all shifted by the same indentation. 5. typographic punctuation folded. The first way with any
match answers; whether one match is enough is the caller's decision. There is no way for
"similar": a likely place is a wrong place often enough. Knows nothing of bytes or paths.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from itertools import accumulate, islice
from types import MappingProxyType

from domain.editing.document import Document, universal

PLACES_LIMIT = 100
# Above this many pairs of lines the alignment may treat frequent lines as noise, to stay fast.
_ALIGN_EXACTLY_UP_TO = 1_000_000
_BLEND_MAX_CHARS = 500

_FOLD = MappingProxyType(
    str.maketrans(
        {
            **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\uff07", "'"),
            **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\uff02", '"'),
            **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\uff0d", "-"),
            **dict.fromkeys("\u00a0\u202f\u205f\u3000", " "),
            **{chr(code): " " for code in range(0x2000, 0x200B)},
        }
    )
)


class MatchKind(StrEnum):
    """How a quoted text was found."""

    EXACT = "exact"
    """Character for character."""
    LINE_ENDS = "line ends"
    """Equal but for CRLF, CR and LF."""
    TRAILING_BLANKS = "trailing blanks"
    """Whole lines, equal but for blanks at their ends or a missing last line end."""
    INDENTATION = "indentation"
    """Whole lines, all indented more, or all less, by the same blanks."""
    PUNCTUATION = "punctuation"
    """Equal after typographic quotes, dashes and spaces became ASCII."""


@dataclass(frozen=True, slots=True)
class Match:
    """One place where the quoted text stands.

    Attributes:
        start, end: offsets in `Document.text` of its first character and behind its last.
        old: the quoted text as it would read at this place; as many lines as the place has.
        new: the replacement as it would read at this place.
    """

    kind: MatchKind
    start: int
    end: int
    old: str
    new: str


def find(document: Document, old: str, new: str, *, whole: bool = False) -> tuple[Match, ...]:
    """Return the places of `old`, in the order of the file, from the first way that has any.

    At most `PLACES_LIMIT`; one or several is all that matters. `whole` = only whole lines count.

    The reader of a file does not see its line ends, so the first two ways count together: text
    that stands once with LF and once with CRLF has two places.
    """
    old, new = universal(old), universal(new)
    if not old:
        return ()
    for search in (_plain, _without_trailing_blanks, _shifted, _folded):
        found = search(document, old, new)
        if whole:
            found = (place for place in found if _is_whole(document, place))
        if places := tuple(islice(found, PLACES_LIMIT)):
            return places
    return ()


def _is_whole(document: Document, place: Match) -> bool:
    text, before, behind = document.text, place.start - 1, place.end
    ends = behind == len(text) or "\n" in {text[behind], text[behind - 1]}
    return (before < 0 or text[before] == "\n") and ends


def line_of(starts: Sequence[int], offset: int) -> int:
    """Return the number, from 1, of the line that an offset of `Document.text` lies in.

    `starts` is `Document.starts`, which is computed at each access: get it once.
    """
    return bisect_right(starts, offset)


def occurrences(text: str, part: str) -> Iterator[int]:
    """Yield the offsets of `part` in `text`, ascending, overlapping ones included."""
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


def _plain(document: Document, old: str, new: str) -> Iterator[Match]:
    starts = document.starts
    for start in occurrences(document.text, old):
        end = start + len(old)
        first, last = line_of(starts, start) - 1, line_of(starts, end) - 1
        foreign = any(e != "\n" for e in document.ends[first:last])
        yield Match(MatchKind.LINE_ENDS if foreign else MatchKind.EXACT, start, end, old, new)


def _folded(document: Document, old: str, new: str) -> Iterator[Match]:
    for start in occurrences(document.text.translate(_FOLD), old.translate(_FOLD)):
        yield Match(MatchKind.PUNCTUATION, start, start + len(old), old, new)


def _without_trailing_blanks(document: Document, old: str, new: str) -> Iterator[Match]:
    for first in _windows(document, old, key=_rstrip):
        yield _lines_place(document, first, old, new, kind=MatchKind.TRAILING_BLANKS)


def _shifted(document: Document, old: str, new: str) -> Iterator[Match]:
    lines = _lines(old)
    firsts = tuple(islice(_windows(document, old, key=_strip), PLACES_LIMIT))
    if len(firsts) == PLACES_LIMIT:
        return  # to look at a part of them could make one of several seem the only one
    lead = next((index for index, line in enumerate(lines) if _strip(line)), 0)
    shifts = {first: _shift(lines[lead], document.contents[first + lead]) for first in firsts}
    moves = {shift: _moved(old, new, shift) for shift in set(shifts.values()) if shift}
    wanted = {s: [_rstrip(line) for line in _lines(m[0])] for s, m in moves.items() if m}
    held = [_rstrip(line) for line in document.contents]
    for first, shift in shifts.items():
        moved = moves.get(shift) if shift else None
        if shift and moved and wanted[shift] == held[first : first + len(lines)]:
            yield _lines_place(document, first, *moved, kind=MatchKind.INDENTATION)


def _rstrip(line: str) -> str:
    return line.rstrip(" \t")


def _strip(line: str) -> str:
    return line.strip(" \t")


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def _windows(document: Document, old: str, *, key: Callable[[str], str]) -> Iterator[int]:
    """Yield the index of each line from which on the lines of `old` follow, compared by `key`."""
    wanted = [key(line) for line in _lines(old)]
    if not any(wanted):
        return  # blank lines stand everywhere
    held = [key(line) for line in document.contents]
    # One search in joined text, not a comparison per line: a file of equal lines would take
    # lines times lines.
    starts = tuple(accumulate((len(line) + 1 for line in held), initial=0))
    for at in occurrences(_joined(held), _joined(wanted)):
        yield line_of(starts, at) - 1


def _joined(lines: Sequence[str]) -> str:
    return "\n" + "".join(line + "\n" for line in lines)


def _lines_place(document: Document, first: int, old: str, new: str, *, kind: MatchKind) -> Match:
    behind = first + len(_lines(old))
    starts = document.starts
    if old.endswith("\n") and behind < len(starts):
        return Match(kind, starts[first], starts[behind], old, new)
    end = starts[behind - 1] + len(document.contents[behind - 1])
    if old.endswith("\n"):  # the file's last line has no end, and keeps having none
        old, new = old.removesuffix("\n"), new.removesuffix("\n")
    return Match(kind, starts[first], end, old, new)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]


def _shift(quoted: str, held: str) -> tuple[str, str] | None:
    """Return the blanks to take from, and to put before, the quoted line; None: not so simple."""
    q, h = _indent(quoted), _indent(held)
    if h.endswith(q):
        return "", h.removesuffix(q)
    return (q.removesuffix(h), "") if q.endswith(h) else None


def _moved(old: str, new: str, shift: tuple[str, str]) -> tuple[str, str] | None:
    moved_old, moved_new = _move(old, *shift), _move(new, *shift)
    return None if moved_old is None or moved_new is None else (moved_old, moved_new)


def _move(text: str, less: str, more: str) -> str | None:
    """Return `text` with `less` taken from and `more` put before each line that is not blank."""
    lines = text.split("\n")
    if any(_strip(line) and not line.startswith(less) for line in lines):
        return None
    return "\n".join(more + li.removeprefix(less) if _strip(li) else li for li in lines)


def replace_at(document: Document, place: Match) -> Document:
    """Return the document with the place's text replaced.

    A line that the quoted text and the replacement share stays as the file has it: its line end,
    its trailing blanks, its punctuation. A new line takes the line end of the one it replaces,
    else of the one before it.
    """
    starts = document.starts
    first, last = line_of(starts, place.start) - 1, line_of(starts, place.end) - 1
    head = document.contents[first][: place.start - starts[first]]
    tail = document.contents[last][place.end - starts[last] :]
    old = (head + place.old + tail).split("\n")
    new = (head + place.new + tail).split("\n")
    held = Document(document.contents[first : last + 1], document.ends[first : last + 1])
    blend = place.kind is MatchKind.PUNCTUATION
    lines = _with_ends(
        tuple(_merge(held, old, new, blend=blend)),
        before=document.ends[first - 1] if first else "",
        last=held.ends[-1],
        default=document.main_end,
    )
    return document.with_lines(first, last + 1, tuple(lines))


def _merge(
    held: Document, old: list[str], new: list[str], *, blend: bool
) -> Iterator[tuple[str, str]]:
    """Yield content and line end of each line of `new`; an empty end means: not known here."""
    for tag, i, i_end, j, j_end in _align(old, new):
        for step, line in enumerate(new[j:j_end]):
            at = i + step
            if tag == "equal":
                yield held.contents[at], held.ends[at]
            elif at < i_end:
                kept = blended(held.contents[at], old[at], line) if blend else line
                yield kept, held.ends[at]
            else:
                yield line, ""


def _align(old: list[str], new: list[str]) -> Sequence[tuple[str, int, int, int, int]]:
    large = len(old) * len(new) > _ALIGN_EXACTLY_UP_TO
    return SequenceMatcher(None, old, new, autojunk=large).get_opcodes()


def _with_ends(
    lines: Sequence[tuple[str, str]], *, before: str, last: str, default: str
) -> Iterator[tuple[str, str]]:
    """Yield the lines with an end each; an empty one takes that of the line before, else `default`.

    `before` is the end of the line before the first; `last` is the last one's in any case.
    """
    for index, (content, known) in enumerate(lines):
        end = last if index == len(lines) - 1 else known or before or default
        # An empty line's LF behind a line that ends in CR would read as one line end.
        before = "\r\n" if (before, content, end) == ("\r", "", "\n") else end
        yield content, before


def blended(held: str, old: str, new: str) -> str:
    """Return `new`, with the characters it shares with `old` as the file has them."""
    if len(held) > _BLEND_MAX_CHARS or len(new) > _BLEND_MAX_CHARS:
        return new
    codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return "".join(held[i:ie] if tag == "equal" else new[j:je] for tag, i, ie, j, je in codes)
