"""What an agent's edit makes of a file: bytes in, bytes or a refusal out.

Keeps the encoding, the byte order mark, the line ends and the state of the last line; finds a
quoted text by `matching`; refuses what is ambiguous or rests on a version the agent has not
seen. Refusals are sentences for the agent. Knows no file system.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from domain.editing import matching
from domain.editing import seen as seen_record
from domain.editing.diff import difference
from domain.editing.document import Document, decode, parse, universal
from domain.editing.matching import Match, MatchKind
from domain.editing.nearest import nearest

EDIT_LIMIT_BYTES = 1024 * 1024
"""A larger file is not edited: matching it would hold up everything else."""
VIEW_LIMIT_LINES = 2_000
"""How many lines one view returns at most."""
VIEW_LIMIT_BYTES = 128 * 1024
"""What one view returns at most, line numbers included."""
LINE_LIMIT_CHARS = 2_000
"""What a view shows of one line."""
_LISTED_MATCHES = 10

_NOT_FOUND = "Error: File not found"
_NO_MATCH = "Error: No match found for replacement. Please check your text and try again."
_BINARY = "Error: The file is not text in an encoding that can be kept, so it is not edited here."
_STALE = "the file has other changes since you read it"
_UNSEEN = "you had not viewed this file"


@dataclass(frozen=True, slots=True)
class Edited:
    """An edit that may be written.

    Attributes:
        after: the file's new content.
        match_kind: "created", "overwritten", "inserted", or how old_str was found.
        note: what the agent should know, clauses joined by "; ", often empty.
        diff: unified diff for the agent.
    """

    after: bytes
    match_kind: str
    note: str
    diff: str


@dataclass(frozen=True, slots=True)
class Refused:
    """An edit or view that is not done, and why, in words for the agent."""

    message: str


@dataclass(frozen=True, slots=True)
class Viewed:
    """What a view shows.

    Attributes:
        text: numbered lines, joined by LF, none at the end.
        note: what was cut, and the form of the file where unusual; often empty.
        sha256: of the whole content, to be kept as seen.
        first, last: the lines shown; `last` is before `first` when none is.
        line_count: of the whole file.
    """

    text: str
    note: str
    sha256: str
    first: int
    last: int
    line_count: int


Outcome: TypeAlias = Edited | Refused


def digest(data: bytes) -> str:
    """Return the sha256 by which a version of a file is recognised, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def create(before: bytes | None, text: str, *, seen: str | None, path: str = "file") -> Outcome:
    """Make a file that holds `text`, in place of `before` if the agent has seen all of that.

    Over an existing file `text` takes that file's line ends, unless it has CRLF itself, its byte
    order mark and its encoding, as far as they can hold it. `seen` records what the agent has
    viewed or written of the file (see `seen.py`), None when nothing; so in `str_replace` and
    `insert`.
    """
    if before is None:
        return _edited(path, None, parse(text), match_kind="created")
    if seen is None:
        return Refused(
            "Error: The file exists and you have not viewed it. View it first, then use"
            " str_replace to change it or create to replace it as a whole."
        )
    if seen_record.version(seen) != digest(before):
        return Refused("Error: The file has changed since you read it. View it again first.")
    held = decode(before)
    if held is not None and (gaps := seen_record.unseen(seen, held.line_count)):
        lines = ", ".join(f"{first} to {last}" for first, last in gaps[:_LISTED_MATCHES])
        return Refused(
            f"Error: You have not seen lines {lines} of this file. View them first, then use create"
            " to replace the file as a whole; or use str_replace to change a part."
        )
    if held is None:
        return _edited(
            path, None, parse(text), match_kind="overwritten", notes=["the file was binary"]
        )
    return _overwritten(path, held, text)


def _overwritten(path: str, held: Document, text: str) -> Outcome:
    if "\r" not in text:
        text = text.replace("\n", held.main_end)
    document = held.with_raw(text.removeprefix("\ufeff") if held.mark else text)
    try:
        document.encode()
    except UnicodeEncodeError:
        changed = f"the file was {held.encoding} and is UTF-8 now"
        return _edited(path, held, parse(text), match_kind="overwritten", notes=[changed])
    return _edited(path, held, document, match_kind="overwritten")


def str_replace(
    before: bytes | None, old: str, new: str, *, path: str, seen: str | None
) -> Outcome:
    """Replace the one place where `old` stands by `new`.

    A line that `old` and `new` share, and every line outside the place, stays byte for byte; the
    line ends of `new` become the file's, unless `old` has CR itself. A file never viewed, or
    changed since, is edited only when `old` is exact (line ends aside).
    """
    document = opened(before)
    if isinstance(document, Refused):
        return document
    if not old:
        return Refused("Error: old_str is empty. Use insert to add text, create for a new file.")
    if old == new:
        return Refused("Error: old_str and new_str are the same, so nothing would change.")
    staleness = stale_note(before, seen)
    if "\r" in old and len(spots := list(islice(_whole_ends(document, old), 2))) == 1:
        raw = document.raw
        after = document.with_raw(raw[: spots[0]] + new + raw[spots[0] + len(old) :])
        return _edited(path, document, after, match_kind=MatchKind.EXACT, notes=[staleness])
    places = matching.find(document, old, new)
    if len(places) != 1:
        return _ambiguous(document, places) if places else _no_match(document, old, staleness)
    return _replaced(path, document, places[0], staleness=staleness)


def replace_each(
    before: bytes | None, pairs: Sequence[tuple[str, str]], *, path: str, seen: str | None
) -> Outcome:
    """Replace several texts, each in what the replacements before it made; all of them or none.

    Each pair is an old text and what takes its place, as in `str_replace`.
    """
    if not pairs:
        return Refused("Error: edits is empty, so nothing would change.")
    data, known, kinds, notes = before, seen, list[str](), list[str]()
    for number, (old, new) in enumerate(pairs, start=1):
        made = str_replace(data, old, new, path=path, seen=known)
        if isinstance(made, Refused):
            said = made.message.removeprefix("Error: ")
            return Refused(f"Error: Nothing was changed: edit {number} of {len(pairs)}: {said}")
        assert data is not None  # noqa: S101 - a missing file is refused
        known = seen_record.edited(known, digest(data), digest(made.after))
        data = made.after
        kinds.append(made.match_kind)
        notes += made.note.split("; ")
    document, after = opened(before), decode(data or b"")
    if isinstance(document, Refused) or after is None:
        return Refused(_BINARY)
    return _edited(
        path,
        document,
        after,
        match_kind=", ".join(dict.fromkeys(kinds)),
        notes=tuple(dict.fromkeys(notes)),
    )


def _replaced(path: str, document: Document, place: Match, *, staleness: str) -> Outcome:
    if place.kind in {MatchKind.EXACT, MatchKind.LINE_ENDS}:
        how = ""
    elif staleness:
        line = matching.line_of(document.starts, place.start)
        return Refused(
            f"Error: {staleness[0].upper()}{staleness[1:]}, and old_str matches only line {line}"
            f" and only when {place.kind} are ignored. View the file first."
        )
    else:
        how = f"old_str matched after ignoring differences in {place.kind}"
    after = matching.replace_at(document, place)
    return _edited(path, document, after, match_kind=place.kind, notes=[staleness, how])


def insert(
    before: bytes | None, line: int, text: str, *, seen: str | None, path: str = "file"
) -> Outcome:
    """Insert whole lines behind line `line` (0: at the top); the last line end may be left out.

    A line number means nothing in a version the agent has not seen, so that is refused.
    """
    document = opened(before)
    if isinstance(document, Refused):
        return document
    if staleness := stale_note(before, seen):
        return Refused(f"Error: {staleness[0].upper()}{staleness[1:]}. View it first.")
    if not text:
        return Refused("Error: insert_text is empty, so nothing would change.")
    if not 0 <= line <= document.line_count:
        return Refused(
            f"Error: insert_line must be from 0 to {document.line_count}, the number of lines."
        )
    return _edited(path, document, _with_inserted(document, line, text), match_kind="inserted")


def _with_inserted(document: Document, line: int, text: str) -> Document:
    if document.line_count == 0:
        return document.with_raw(text)
    neighbour = document.ends[line - 1] if line else document.ends[0]
    end = neighbour or document.main_end
    lines = [(content, end) for content in universal(text).removesuffix("\n").split("\n")]
    if line == len(document.contents):  # behind a last line without an end: that state moves on
        lines = [(document.contents[-1], end), *lines[:-1], (lines[-1][0], "")]
        return document.with_lines(line - 1, line, lines)
    return document.with_lines(line, line, lines)


def opened(before: bytes | None) -> Document | Refused:
    """Return a file as text that may be edited."""
    if before is None:
        return Refused(_NOT_FOUND)
    if len(before) > EDIT_LIMIT_BYTES:
        return Refused(f"Error: The file is larger than {EDIT_LIMIT_BYTES:,} bytes.")
    return decode(before) or Refused(_BINARY)


def stale_note(before: bytes | None, seen: str | None) -> str:
    """Return that the agent has not seen this version of a file; "" when it has."""
    if seen is None:
        return _UNSEEN
    current = before is not None and seen_record.version(seen) == digest(before)
    return "" if current else _STALE


def _edited(
    path: str,
    before: Document | None,
    after: Document,
    *,
    match_kind: str,
    notes: Sequence[str] = (),
) -> Outcome:
    data = encoded(after)
    if isinstance(data, Refused):
        return data
    if before is not None and data == before.encode():
        return Refused("Error: Nothing would change: the file holds this text already.")
    note = "; ".join(note for note in notes if note)
    return Edited(data, match_kind, note, difference(path, before, after))


def encoded(document: Document) -> bytes | Refused:
    """Return the bytes of a file after an edit; its encoding may lack a character."""
    try:
        return document.encode()
    except UnicodeEncodeError as error:
        wrong = ascii(error.object[error.start : error.start + 1])
        return Refused(f"Error: The character {wrong} cannot be written in {document.encoding}.")


def _whole_ends(document: Document, old: str) -> Iterator[int]:
    """Yield the offsets of `old` in the raw text that do not cut a CRLF in two."""
    raw = document.raw
    for at in matching.occurrences(raw, old):
        if "\r\n" not in {raw[at - 1 : at + 1], raw[at + len(old) - 1 : at + len(old) + 1]}:
            yield at


def _ambiguous(document: Document, places: Sequence[Match]) -> Refused:
    starts = document.starts
    lines = [str(matching.line_of(starts, place.start)) for place in places[:_LISTED_MATCHES]]
    at_least = " or more" if len(places) == matching.PLACES_LIMIT else ""
    more = " and further ones" if len(places) > len(lines) else ""
    return Refused(
        f"Error: Found {len(places)}{at_least} matches for replacement text. Please provide more"
        f" context to make a unique match. They begin at lines {', '.join(lines)}{more}."
    )


def _no_match(document: Document, old: str, staleness: str) -> Refused:
    parts = [_NO_MATCH]
    if staleness:
        parts.append(f"Note that {staleness}: view it.")
    # Half a surrogate pair, which JSON can carry, must not reach a message.
    quoted = universal(old.encode(errors="replace").decode()).removesuffix("\n").split("\n")
    if all("\t" in line and line.split("\t")[0].strip().isdecimal() for line in quoted):
        parts.append("Leave out the line numbers that the view puts before each line.")
    elif near := nearest(document.contents, quoted, called="your old_str"):
        parts.append(near)
    return Refused("\n".join(parts))


def view(data: bytes, view_range: tuple[int, int] | None, *, path: str) -> Viewed | Refused:
    """Show the lines of a file, numbered from 1 as `cat -n` does.

    `view_range` is the first and the last line, both shown; a last of -1, or beyond the end, is the
    end. At most `VIEW_LIMIT_LINES`; how to see those that do not fit is said.
    """
    document = decode(data)
    if document is None:
        return Refused(f"Error: {path} is not text ({len(data):,} bytes).")
    count = document.line_count
    first, last = view_range or (1, -1)
    last = count if last == -1 else min(last, count)
    if view_range and (first < 1 or last < first):
        return Refused(
            f"Error: view_range [{view_range[0]}, {view_range[1]}] is not within the file, which"
            f" has {count} lines. Lines are numbered from 1; -1 as the last means the end."
        )
    shown, cut_lines = _numbered(document.contents[first - 1 : last], first)
    notes = [document.describe() if data else "the file is empty"]
    if cut_lines:
        notes.append(f"{cut_lines} lines longer than {LINE_LIMIT_CHARS:,} characters are cut")
    end = first + len(shown) - 1
    if end < last:
        further = f"use view_range [{end + 1}, {min(last, end + VIEW_LIMIT_LINES)}] to go on"
        notes.append(f"lines {end + 1} to {last} of {count} are not shown: {further}")
    if len(data) > EDIT_LIMIT_BYTES:
        notes.append(f"the file is too large to be edited ({len(data):,} bytes)")
    note = "; ".join(note for note in notes if note)
    return Viewed("\n".join(shown), note, digest(data), first, end, count)


def _numbered(contents: Sequence[str], first: int) -> tuple[list[str], int]:
    """Return the numbered lines that fit, and how many of these are cut."""
    shown: list[str] = []
    cut_lines, room = 0, VIEW_LIMIT_BYTES
    for number, line in enumerate(contents[:VIEW_LIMIT_LINES], start=first):
        more = len(line) - LINE_LIMIT_CHARS
        rest = f" [{more:,} more characters]" if more > 0 else ""
        text = f"{number:>6}\t{line[:LINE_LIMIT_CHARS]}{rest}"
        room -= len(text.encode()) + 1
        if room < 0:
            break
        shown.append(text)
        cut_lines += more > 0
    return shown, cut_lines
