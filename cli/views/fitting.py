"""Sections of a view within the height of a terminal: each has its least, the rest is shared."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.segment import Segment
from rich.text import Text

Lines = list[list[Segment]]


class Keep(Enum):
    """What stays of a section that is cut."""

    FIRST = "first"
    LAST = "last"


@dataclass(frozen=True)
class Section:
    """A part of a view.

    Attributes:
        least: lines that it has before any other gets more than its least.
        rank: the smaller, the earlier it gets its least, and what is left.
        noted: that lines are left out is said.
        shrink: makes it anew for so many lines; without it, lines are left out.
    """

    renderable: RenderableType
    least: int = 1
    rank: int = 0
    keep: Keep = Keep.FIRST
    noted: bool = True
    shrink: Callable[[int], RenderableType] | None = None


class Fitted:
    """Sections below each other, cut so that all fit on the terminal.

    Args:
        fit: False shows every section whole, however high the terminal is.
    """

    def __init__(self, sections: Sequence[Section], *, fit: bool) -> None:
        self._sections = sections
        self._fit = fit

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines of all sections."""
        inner = options.update(height=None)
        whole = [_lines(console, inner, section.renderable) for section in self._sections]
        height = options.max_height - 1
        if self._fit and sum(map(len, whole)) > height:
            whole = self._cut(console, inner, whole, height)
        for lines in whole:
            for line in lines:
                yield from line
                yield Segment.line()

    def _cut(
        self, console: Console, options: ConsoleOptions, whole: list[Lines], height: int
    ) -> list[Lines]:
        places = sorted(range(len(whole)), key=lambda place: self._sections[place].rank)
        given = dict.fromkeys(places, 0)
        for wanted in ("least", "all"):
            for place in places:
                most = len(whole[place])
                aim = min(most, self._sections[place].least) if wanted == "least" else most
                given[place] += min(aim - given[place], height - sum(given.values()))
        return [
            _shortened(console, options, section, lines, given[place])
            for place, (section, lines) in enumerate(zip(self._sections, whole, strict=True))
        ]


def _lines(console: Console, options: ConsoleOptions, renderable: RenderableType) -> Lines:
    return console.render_lines(renderable, options, pad=False)


def _shortened(
    console: Console, options: ConsoleOptions, section: Section, lines: Lines, count: int
) -> Lines:
    if count >= len(lines):
        return lines
    if count <= 0:
        return []
    if section.shrink is not None:
        return _lines(console, options, section.shrink(count))[:count]
    hidden = len(lines) - count + 1
    if section.keep is Keep.LAST:
        return lines[-count:]
    if not section.noted:
        return lines[:count]
    note = Text(f"… {hidden} more lines", "dim", no_wrap=True, overflow="ellipsis")
    return [*lines[: count - 1], *_lines(console, options, note)]
