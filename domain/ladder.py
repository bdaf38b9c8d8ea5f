"""
Where in a file the text an agent quotes stands: five rungs, each a little more forgiving.

1. exact. 2. exact but for line ends. 3. whole lines, trailing blanks ignored. 4. whole lines,
all shifted by the same indentation. 5. typographic punctuation folded. The first rung with any
match answers; whether one match is enough is the caller's decision. There is no rung for
"similar": a likely place is a wrong place often enough. Knows nothing of bytes or paths.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum

from domain.document import Document, universal

# Above this many pairs of lines the alignment may treat frequent lines as noise, to stay fast.
_ALIGN_EXACTLY_UP_TO = 1_000_000
_BLEND_MAX_CHARS = 2_000

_FOLD = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\uff07", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\uff02", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\uff0d", "-"),
        **dict.fromkeys("\u00a0\u202f\u205f\u3000", " "),
        **{chr(code): " " for code in range(0x2000, 0x200B)},
    }
)


class Rung(StrEnum):
    """
    How a quoted text was found.
    """

    EXACT = "exact"
    """
    Character for character.
    """
    LINE_ENDS = "line ends"
    """
    Equal but for CRLF, CR and LF.
    """
    TRAILING_BLANKS = "trailing blanks"
    """
    Whole lines, equal but for blanks at their ends or a missing last line end.
    """
    INDENTATION = "indentation"
    """
    Whole lines, all indented more, or all less, by the same blanks.
    """
    PUNCTUATION = "punctuation"
    """
    Equal after typographic quotes, dashes and spaces became ASCII.
    """


@dataclass(frozen=True, slots=True)
class Place:
    """
    One place where the quoted text stands.

    Attributes:
        rung: how it was found.
        start: offset of its first character in `Document.text`.
        end: offset behind its last character.
        old: the quoted text as it would read at this place; as many lines as the place has.
        new: the replacement as it would read at this place.
    """

    rung: Rung
    start: int
    end: int
    old: str
    new: str


def find(document: Document, old: str, new: str) -> tuple[Place, ...]:
    """
    Return the places of `old`, in the order of the file, from the first rung that has any.

    The reader of a file does not see its line ends, so the first two rungs count together: text
    that stands once with LF and once with CRLF has two places.
    """
    old, new = universal(old), universal(new)
    if not old:
        return ()
    for rung in (_plain, _without_trailing_blanks, _shifted, _folded):
        places = tuple(rung(document, old, new))
        if places:
            return places
    return ()


def line_of(document: Document, offset: int) -> int:
    """
    Return the number, from 1, of the line that `offset` of `Document.text` lies in.
    """
    return bisect_right(document.starts, offset)


def occurrences(text: str, part: str) -> Iterator[int]:
    """
    Yield the offsets of `part` in `text`, ascending, overlapping ones included.
    """
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + 1)


def _plain(document: Document, old: str, new: str) -> Iterator[Place]:
    for start in occurrences(document.text, old):
        end = start + len(old)
        first, last = line_of(document, start) - 1, line_of(document, end) - 1
        foreign = any(e != "\n" for e in document.ends[first:last])
        yield Place(Rung.LINE_ENDS if foreign else Rung.EXACT, start, end, old, new)


def _folded(document: Document, old: str, new: str) -> Iterator[Place]:
    for start in occurrences(document.text.translate(_FOLD), old.translate(_FOLD)):
        yield Place(Rung.PUNCTUATION, start, start + len(old), old, new)


def _without_trailing_blanks(document: Document, old: str, new: str) -> Iterator[Place]:
    for first in _windows(document, old, key=_rstrip):
        yield _lines_place(document, first, old, new, rung=Rung.TRAILING_BLANKS)


def _shifted(document: Document, old: str, new: str) -> Iterator[Place]:
    lines = _lines(old)
    for first in _windows(document, old, key=_strip):
        shift = _shift(lines, document.contents[first : first + len(lines)])
        moved = (None, None) if shift is None else (_move(old, *shift), _move(new, *shift))
        if moved[0] is not None and moved[1] is not None:
            yield _lines_place(document, first, *moved, rung=Rung.INDENTATION)


def _rstrip(line: str) -> str:
    return line.rstrip(" \t")


def _strip(line: str) -> str:
    return line.strip(" \t")


def _lines(text: str) -> list[str]:
    return text.removesuffix("\n").split("\n")


def _windows(document: Document, old: str, *, key: Callable[[str], str]) -> Iterator[int]:
    """
    Yield the index of each line from which on the lines of `old` follow, compared by `key`.
    """
    wanted = [key(line) for line in _lines(old)]
    if not any(wanted):
        return  # blank lines stand everywhere
    held = [key(line) for line in document.contents]
    for first in range(len(held) - len(wanted) + 1):
        if held[first] == wanted[0] and held[first : first + len(wanted)] == wanted:
            yield first


def _lines_place(document: Document, first: int, old: str, new: str, *, rung: Rung) -> Place:
    behind = first + len(_lines(old))
    starts = document.starts
    if old.endswith("\n") and behind < len(starts):
        return Place(rung, starts[first], starts[behind], old, new)
    end = starts[behind - 1] + len(document.contents[behind - 1])
    if old.endswith("\n"):  # the file's last line has no end, and keeps having none
        old, new = old.removesuffix("\n"), new.removesuffix("\n")
    return Place(rung, starts[first], end, old, new)


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]


def _shift(quoted: Sequence[str], held: Sequence[str]) -> tuple[str, str] | None:
    """
    Return the blanks to take from, and to put before, each quoted line; None: not uniform.
    """
    pairs = [(_indent(q), _indent(h)) for q, h in zip(quoted, held, strict=True) if _strip(q)]
    q, h = pairs[0]
    if h.endswith(q):
        less, more = "", h.removesuffix(q)
    elif q.endswith(h):
        less, more = q.removesuffix(h), ""
    else:
        return None
    if all(h == more + q.removeprefix(less) and q.startswith(less) for q, h in pairs):
        return less, more
    return None


def _move(text: str, less: str, more: str) -> str | None:
    """
    Return `text` with `less` taken from and `more` put before each line that is not blank.
    """
    lines = text.split("\n")
    if any(_strip(line) and not line.startswith(less) for line in lines):
        return None
    return "\n".join(more + li.removeprefix(less) if _strip(li) else li for li in lines)


def replace_at(document: Document, place: Place) -> Document:
    """
    Return the document with the place's text replaced.

    A line that the quoted text and the replacement share stays as the file has it: its line end,
    its trailing blanks, its punctuation. A new line takes the line end of the one it replaces,
    else of the one before it.
    """
    first, last = line_of(document, place.start) - 1, line_of(document, place.end) - 1
    head = document.contents[first][: place.start - document.starts[first]]
    tail = document.contents[last][place.end - document.starts[last] :]
    old = (head + place.old + tail).split("\n")
    new = (head + place.new + tail).split("\n")
    held = Document(document.contents[first : last + 1], document.ends[first : last + 1])
    blend = place.rung is Rung.PUNCTUATION
    ends_before = document.ends[first - 1] if first else document.main_end
    lines = list(_merge(held, old, new, blend=blend))
    return document.with_lines(first, last + 1, _with_ends(lines, ends_before, held.ends[-1]))


def _merge(
    held: Document, old: list[str], new: list[str], *, blend: bool
) -> Iterator[tuple[str, str]]:
    """
    Yield content and line end of each line of `new`; an empty end means: not known here.
    """
    for tag, i, i_end, j, j_end in _align(old, new):
        for step, line in enumerate(new[j:j_end]):
            at = i + step
            if tag == "equal":
                yield held.contents[at], held.ends[at]
            elif at < i_end:
                kept = _blend(held.contents[at], old[at], line) if blend else line
                yield kept, held.ends[at]
            else:
                yield line, ""


def _align(old: list[str], new: list[str]) -> list[tuple[str, int, int, int, int]]:
    large = len(old) * len(new) > _ALIGN_EXACTLY_UP_TO
    return SequenceMatcher(None, old, new, autojunk=large).get_opcodes()


def _with_ends(
    lines: list[tuple[str, str]], before: str, last: str
) -> Iterator[tuple[str, str]]:
    for index, (content, end) in enumerate(lines):
        before = last if index == len(lines) - 1 else end or before
        yield content, before


def _blend(held: str, old: str, new: str) -> str:
    """
    Return `new`, with the characters it shares with `old` as the file has them.
    """
    if len(held) > _BLEND_MAX_CHARS or len(new) > _BLEND_MAX_CHARS:
        return new
    codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return "".join(held[i:ie] if tag == "equal" else new[j:je] for tag, i, ie, j, je in codes)
