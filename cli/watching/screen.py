"""Where snapshots are shown: a terminal that is redrawn, with keys, or lines."""

import contextlib
from collections.abc import Iterator
from typing import Protocol

from rich.console import Console, RenderableType
from rich.live import Live

from cli.answer_pad import AnswerPad
from cli.snapshot import Snapshot
from cli.views.live import live_view
from cli.views.pad import PadView
from cli.views.plain import changes
from domain.text import visible


class Screen(Protocol):
    """Shows snapshots.

    Attributes:
        follows: every word is shown as it comes, so that it is worth looking often.
        checks_shown: the checks of the merged tree stand there already.
    """

    follows: bool
    checks_shown: bool

    def show(self, snapshot: Snapshot, *, last: bool = False) -> None:
        """Show a snapshot; the last one stays, and a report follows it."""


class Redrawn:
    """A terminal that is redrawn and keeps the last snapshot.

    Args:
        pad: the keys; None where no key is taken.
        task: the one task that is followed.
    """

    follows = True
    checks_shown = False

    def __init__(
        self, live: Live, *, program: str, pad: AnswerPad | None = None, task: str | None = None
    ) -> None:
        self._live = live
        self._program = program
        self._pad = pad
        self._task = task
        self._snapshot: Snapshot | None = None
        self._away = False

    def show(self, snapshot: Snapshot, *, last: bool = False) -> None:
        """Redraw; while the terminal is lent, only note the snapshot."""
        self._snapshot = snapshot
        if self._pad is not None:
            self._pad.update(() if last else snapshot.status.approvals)
        if not self._away:
            self._live.update(self._view(snapshot, last=last), refresh=True)

    def redraw(self) -> None:
        """Show the last snapshot again, as after a key or another size of the terminal."""
        if self._snapshot is not None:
            self.show(self._snapshot)

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Take the view off the terminal while the block lasts."""
        self._away = True
        self._live.transient = True
        self._live.stop()
        try:
            yield
        finally:
            self._live.transient = False
            self._live.start()
            self._away = False
            self.redraw()

    def _view(self, snapshot: Snapshot, *, last: bool) -> RenderableType:
        asked = None
        if self._pad is not None and not last:
            asked = PadView(self._pad, snapshot.status.id, self._program)
        return live_view(
            snapshot,
            program=self._program,
            fit=not last,
            task=None if last else self._task,
            asked=asked,
            last=last,
        )


class Printed:
    """A file, a pipe or a log: a line for every change."""

    follows = False

    def __init__(self, console: Console, *, program: str) -> None:
        self._console = console
        self._program = program
        self._before: Snapshot | None = None
        self.checks_shown = False

    def show(self, snapshot: Snapshot, *, last: bool = False) -> None:  # noqa: ARG002 - all are lines
        """Print what has changed."""
        for line in changes(self._before, snapshot, program=self._program):
            self._console.out(visible(line), highlight=False)
        self._console.file.flush()
        self._before = snapshot
        status = snapshot.status
        self.checks_shown |= bool(status.checks and not status.ending)


@contextlib.contextmanager
def shown_on(
    console: Console, *, program: str, pad: AnswerPad | None = None, task: str | None = None
) -> Iterator[Redrawn | Printed]:
    """Show snapshots on the output: a terminal is redrawn, all else gets a line per change."""
    if console.is_terminal and not console.is_dumb_terminal:
        with Live(console=console, auto_refresh=False, redirect_stderr=False) as live:
            yield Redrawn(live, program=program, pad=pad, task=task)
    else:
        yield Printed(console, program=program)
