"""Text within the width of a terminal: prose broken between words, commands that stay whole."""

import re
import textwrap
from collections.abc import Iterable, Iterator

_WORDS = re.compile(r"(?:[^\s']|'[^']*')+")
_GOES_ON = " \\"
_GUTTER = re.compile(r" *(?:[|!] |(?:->|<-|=>|--|==) )? *")
_LEAST_ROOM = 20
"""Columns for a text beside its label; where there are fewer, it goes on further to the left."""


def wrapped(text: str, width: int, *, first: str = "", later: str = "") -> list[str]:
    """Return prose as lines of at most a width, broken between words; 0: one line.

    A longer word, such as an address, stays whole. `first` and `later` are what the first line and
    those after it begin with.
    """
    if not width or len(first) + len(text) <= width:
        return [f"{first}{text}".rstrip()]
    return textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
    )


def labelled(label: str, text: str, width: int) -> list[str]:
    """Return a text beside its label, going on below itself; on a narrow terminal further left."""
    indent = len(label) if width - len(label) >= _LEAST_ROOM else min(4, len(label))
    return wrapped(text, width, first=label, later=" " * indent)


def prose(lines: Iterable[str], width: int, *, commands: Iterable[str] = ()) -> list[str]:
    """Return lines broken between words, each going on below its own beginning; 0: as they are.

    `commands` are beginnings of commands: where a line does not fit, the command at its end is put
    on lines of its own, which can be pasted.
    """
    starts = [start for start in commands if start]
    return [part for line in lines for part in _fitted(line, width, starts)]


def _fitted(line: str, width: int, starts: list[str]) -> Iterator[str]:
    if not width or len(line) <= width:
        yield line
        return
    first, later = _marks(line)
    told, command = _told_and_command(line[len(first) :], starts)
    if told:
        yield from wrapped(told, width, first=first, later=later)
    if command:
        yield from broken(f"{later}{'  ' if told else ''}{command}", width).split("\n")


def _told_and_command(text: str, starts: list[str]) -> tuple[str, str]:
    """Return what stands before a command at the end of a line, and the command."""
    places = [text.find(start) for start in starts]
    first = min((place for place in places if place >= 0), default=-1)
    if first == 0 or (first > 0 and text[first - 1] == " "):
        return text[:first].rstrip(), text[first:]
    return text, ""


def broken(line: str, columns: int) -> str:
    """Return a command line that may be pasted, as lines of at most so many columns.

    Between words, so that the shell joins them; a longer word stays whole.
    """
    if len(line) <= columns:
        return line
    indent = line[: len(line) - len(line.lstrip(" "))]
    lines, room = [""], columns - len(_GOES_ON)
    for word in _WORDS.findall(line):
        if lines[-1] and len(lines[-1]) + 1 + len(word) > room:
            lines.append(f"{indent}{word}")
        else:
            lines[-1] = f"{lines[-1]} {word}" if lines[-1] else f"{indent}{word}"
    return f"{_GOES_ON}\n".join(lines)


def _marks(line: str) -> tuple[str, str]:
    """Return what a line begins with, and what its further parts do: the mark of quoted output."""
    found = _GUTTER.match(line)
    first = found[0] if found else ""
    return first, first if set(first) <= set(" |!") else " " * len(first)
