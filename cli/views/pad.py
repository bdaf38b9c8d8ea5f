"""What is asked and which key answers it, at the place of the commands."""

from collections.abc import Iterator

from rich.columns import Columns
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from cli import hints
from cli.answer_pad import HELP, AnswerPad, Mode
from cli.formatting import clean, clean_lines
from cli.hints import REVISABLE
from cli.views.live import WATCHED_LINES, CommandText, indented
from contracts.approvals import Approval, Choice

_WORDS = {
    Choice.APPROVE: ("Approve", "y sends it, any other key does not"),
    Choice.REJECT: ("Reject", "y sends it, any other key does not"),
    Choice.REVISE: ("Send back", "y sends it, any other key does not"),
}
_LINES = {
    Choice.REJECT: "Reject: why? (Enter, Esc gives up)",
    Choice.REVISE: "Send back: what is to change? (Enter, Esc gives up)",
}


class PadView:
    """The question that is shown, its keys, and what came of the last one.

    Args:
        program: how commands begin; they stand last, where there is room for them.
    """

    def __init__(self, pad: AnswerPad, request_id: str, program: str) -> None:
        self._pad = pad
        self._request_id = request_id
        self._program = program

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield keys first, so that they stay where a low terminal cuts the rest."""
        yield Group(*self._lines())

    def _lines(self) -> Iterator[RenderableType]:
        pad, asked = self._pad, self._pad.shown
        if pad.message:
            yield Text(clean(pad.message, 500), "yellow")
        if asked is not None:
            yield from self._question(asked)
        if pad.mode is Mode.HELP:
            keys = [Text(f"{key}  {what}", "cyan") for key, what in HELP]
            yield Columns(keys, padding=(0, 3), equal=True, column_first=True)
        elif asked is None:
            yield Text("? help  d diff  w why  q leave", "dim", no_wrap=True, overflow="ellipsis")
        if asked is not None and pad.mode is Mode.CHOOSE:
            yield from self._detail(asked)

    def _question(self, asked: Approval) -> Iterator[RenderableType]:
        place, count = self._pad.place
        number = f"{place} of {count}: " if count > 1 else ""
        risk = f" (risk: {clean(asked.risk)})" if asked.risk else ""
        yield Text(f"? {number}{clean(asked.what)}{risk}", "bold yellow")
        match self._pad.mode:
            case Mode.LINE:
                assert self._pad.choice is not None  # noqa: S101 - a line is always for a choice
                yield Text(_LINES[self._pad.choice], "bold cyan")
                yield Text(f"> {self._pad.text}▏", overflow="fold")
            case Mode.CONFIRM:
                yield from self._confirmation()
            case Mode.CHOOSE:
                yield _keys(asked, count)
            case Mode.HELP:
                pass

    def _confirmation(self) -> Iterator[RenderableType]:
        assert self._pad.choice is not None  # noqa: S101 - only a choice is confirmed
        verb, keys = _WORDS[self._pad.choice]
        if self._pad.for_request:
            verb = "Approve, and allow such calls for the rest of the request"
        yield Text(f"{verb}? {keys}", "bold cyan")
        if self._pad.text:
            yield Text(f"> {clean(self._pad.text, 500)}")

    def _detail(self, asked: Approval) -> Iterator[RenderableType]:
        yield indented(f"  {clean(asked.why)}", "yellow")
        for line in clean_lines(asked.detail, WATCHED_LINES):
            yield indented(f"  {line}")
        for line in hints.answer_commands(self._program, self._request_id, asked)[:1]:
            yield CommandText(line, "dim")


def _keys(asked: Approval, count: int) -> Text:
    words = ["a approve", *(["A for the request"] if asked.rules else []), "r reject"]
    words += ["e send back"] if asked.kind in REVISABLE else []
    words += ["v see all"]
    words += ["n next", "p previous"] if count > 1 else []
    return Text("  ".join([*words, "? help"]), "bold cyan")
