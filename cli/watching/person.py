"""A person at the keys of the watch view: what they ask for is shown, what they answer is sent."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Sequence

from cli.answer_pad import Action, AnswerPad, Edit, Key, Send, ViewWhole
from cli.answers import answer_shown
from cli.changes import change_lines
from cli.client import RequestSummary
from cli.client.connection import Service
from cli.context import CliContext
from cli.exit_codes import ServiceUnavailable, UsageError
from cli.explanation import explanation_lines
from cli.kept import KeptOnHost
from cli.paging import page_lines
from cli.request_text import editor_command
from cli.watching.keyboard import Keyboard
from cli.watching.screen import Redrawn
from cli.watching.whole_question import whole_question
from contracts.approvals import Approval, Choice
from domain.text import Redact
from runtime.settings import load

_CUT = "# ------------------------ >8 ------------------------"


class Person:
    """Takes keys while `listening`; one thing at a time is done of what they ask for.

    Args:
        leave: ends the watching.
    """

    def __init__(
        self,
        pad: AnswerPad,
        screen: Redrawn,
        *,
        request: RequestSummary,
        service: Service,
        kept: KeptOnHost,
        context: CliContext,
        redact: Redact,
        leave: Callable[[], object],
    ) -> None:
        self._pad = pad
        self._screen = screen
        self._request = request
        self._service = service
        self._kept = kept
        self._context = context
        self._redact = redact
        self._leave = leave
        self._keyboard = Keyboard(context.stdin, redraw=screen.redraw)
        self._doing: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Take keys while the block lasts; the terminal is as before afterwards."""
        loop = asyncio.get_running_loop()
        with self._keyboard.listen(self._take):
            loop.add_signal_handler(signal.SIGWINCH, self._screen.redraw)
            try:
                yield
            finally:
                loop.remove_signal_handler(signal.SIGWINCH)
                if self._doing is not None:
                    self._doing.cancel()
                    await asyncio.gather(self._doing, return_exceptions=True)

    def _take(self, keys: Sequence[str]) -> None:
        if self._doing is not None and not self._doing.done():
            return
        action = self._pad.press(keys)
        if action is Key.LEAVE:
            self._leave()
            return
        self._screen.redraw()
        if action is not None:
            self._doing = asyncio.create_task(self._do(action))

    async def _do(self, action: Action) -> None:
        """Do what a key asked for; what goes wrong is said in the view, which goes on."""
        try:
            match action:
                case Send():
                    self._pad.message = await self._send(action)
                case ViewWhole(approval=asked):
                    kept = (self._request, self._kept, self._redact)
                    await self._page(await whole_question(asked, *kept))
                case Edit(approval=asked):
                    await self._edit(asked)
                case Key.WHY:
                    await self._page(await self._why())
                case Key.DIFF:
                    await self._page(await self._diff())
        except (UsageError, ServiceUnavailable, OSError) as error:
            self._pad.message = str(error)
        self._screen.redraw()

    async def _send(self, answer: Send) -> str:
        return await answer_shown(
            self._service,
            self._request,
            answer.approval,
            answer.choice,
            reason=answer.reason,
            for_request=answer.for_request,
            context=self._context,
        )

    async def _page(self, lines: Sequence[str]) -> None:
        with self._screen.away(), self._keyboard.lent():
            await page_lines(lines, self._context)

    async def _why(self) -> list[str]:
        return await explanation_lines(
            self._request, self._service, self._kept, context=self._context
        )

    async def _diff(self) -> list[str]:
        lines = await change_lines(self._request, None, self._service, self._kept, stat=False)
        return [self._redact(line) for line in lines] or ["Nothing has changed so far."]

    async def _edit(self, asked: Approval) -> None:
        """Have the person write what is to be changed, and ask whether it is to be sent."""
        file = load(self._context.environ).ensure_home() / "feedback.md"
        question = f"{asked.what}\n{asked.why}\n\n{asked.detail}"
        hint = "Write above this line what is to be changed; with nothing above it, nothing is sent"
        file.write_text(f"\n\n{_CUT}\n{hint}.\n\n{question}\n", encoding="utf-8")
        with self._screen.away(), self._keyboard.lent():
            ended = await asyncio.create_subprocess_shell(
                editor_command(file, self._context),
                cwd=self._context.folder,
                env=dict(self._context.environ),
            )
            try:
                code = await ended.wait()
            finally:
                if ended.returncode is None:
                    ended.terminate()
                    await ended.wait()
        written = file.read_text(encoding="utf-8", errors="replace").partition(_CUT)[0].strip()
        if code or not written:
            self._pad.message = "nothing was sent: " + (
                f"the editor ended with exit code {code}" if code else "nothing was written"
            )
            return
        shown = self._pad.shown
        if shown is None or (shown.id, shown.digest) != (asked.id, asked.digest):
            self._pad.message = f"it has changed meanwhile, nothing was sent; it is kept in {file}"
            return
        self._pad.ask(Choice.REVISE, written)
