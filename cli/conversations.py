"""Print the conversations of a request, and go on as they grow."""

import asyncio
import json
from dataclasses import replace

from cli.client import RequestClient, RequestSummary
from cli.client.connection import connected
from cli.context import CliContext
from cli.exit_codes import ExitCode, UsageError
from cli.formatting import clean, name
from cli.kept import KeptOnHost, kept_on_host, readable
from cli.views.log import LogView, document
from infra.kept.turns import LoggedTurn
from runtime.redaction import redactor
from runtime.settings import load

_POLL_SECONDS = 0.5


async def show_log(
    request_id: str,
    task: str | None,
    *,
    full: bool,
    follow: bool,
    as_json: bool,
    context: CliContext,
) -> ExitCode:
    """Print every turn of the agents of a request, or of one task."""
    redact = redactor(load(context.environ).secrets())
    view = LogView(whole=full, redact=redact, width=context.columns())
    async with connected(context, worker=False) as service, kept_on_host(context) as kept:
        request = await service.requests.find(request_id)
        log = _Log(kept, request, task)
        while True:
            # Asked first: what is there once it has ended is all there will be.
            ended = not follow or await _has_ended(service.requests, request)
            for turn in await log.new_turns(complete=ended):
                if as_json:
                    context.print_out(json.dumps(document(turn, redact), ensure_ascii=False))
                else:
                    context.print_out(*view.lines(turn))
            if ended:
                return ExitCode.DELIVERED
            await asyncio.sleep(_POLL_SECONDS)


async def _has_ended(client: RequestClient, request: RequestSummary) -> bool:
    return request.closed is not None or (await client.summary(request.id)).closed is not None


class _Log:
    """The turns of a request, read on; those of one task where one is named."""

    def __init__(self, kept: KeptOnHost, request: RequestSummary, task: str | None) -> None:
        self._kept = kept
        self._request = request
        self._task = task

    async def new_turns(self, *, complete: bool) -> list[LoggedTurn]:
        """Return the turns since the last call; `complete`: nothing can come any more."""
        found = await self._kept.find(self._request)
        if found is None:
            # One that has begun just now opens its repository first.
            if complete:
                await self._kept.require(self._request)
            return []
        with readable(self._request):
            agents = await found.agents()
            self._check_task([each.task for each in agents], complete=complete)
            turns = await found.new_turns()
            undone = await found.undone() if turns else frozenset[str]()
        marked = (replace(turn, undone=turn.commit in undone) for turn in turns)
        return [turn for turn in marked if self._task in (None, turn.agent.task)]

    def _check_task(self, tasks: list[str], *, complete: bool) -> None:
        if self._task is None or self._task in tasks or not complete:
            return
        known = ", ".join(dict.fromkeys(name(task) for task in tasks if task)) or "none has begun"
        raise UsageError(
            f"No agent of {name(self._request.id)} has worked on {clean(self._task, 60)}; "
            f"tasks with agents: {known}."
        )
