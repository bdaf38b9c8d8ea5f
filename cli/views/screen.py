"""Where a watched request is shown: a terminal that is redrawn, or a stream of lines."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from typing_extensions import override

from cli.snapshot import Snapshot
from cli.views.live import live_view
from cli.views.plain import changes


class View(ABC):
    """Shows snapshots, one after the other."""

    @abstractmethod
    def show(self, snapshot: Snapshot) -> None:
        """Show the newest snapshot."""


class LineView(View):
    """One line per change, for files, pipes and logs."""

    def __init__(self, console: Console, *, program: str) -> None:
        self._console = console
        self._program = program
        self._last: Snapshot | None = None

    @override
    def show(self, snapshot: Snapshot) -> None:
        for line in changes(self._last, snapshot, program=self._program):
            self._console.out(line, highlight=False)
        self._console.file.flush()
        self._last = snapshot


class TerminalView(View):
    """The live view, redrawn in place."""

    def __init__(self, live: Live, *, program: str) -> None:
        self._live = live
        self._program = program

    @override
    def show(self, snapshot: Snapshot) -> None:
        self._live.update(live_view(snapshot, program=self._program), refresh=True)


@contextmanager
def shown_on(console: Console, *, program: str) -> Iterator[View]:
    """Yield the view that fits the output; on a terminal the last snapshot stays."""
    if console.is_terminal and not console.is_dumb_terminal:
        with Live(console=console, auto_refresh=False, redirect_stderr=False) as live:
            yield TerminalView(live, program=program)
    else:
        yield LineView(console, program=program)
