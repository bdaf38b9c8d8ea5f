"""The whole of a request, from its input, its status and what its store keeps."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cli.client import RequestSummary
from cli.client.connection import connected
from cli.context import CliContext
from cli.exit_codes import ExitCode
from cli.kept import KeptOnHost, kept_on_host, readable
from cli.plans import planned_tasks
from cli.views.report import commands_in, document
from cli.views.whole import Review, Whole, lines
from contracts import roles
from infra.kept.turns import LoggedTurn
from runtime.redaction import redactor
from runtime.settings import load


async def show_request(request_id: str, *, as_json: bool, context: CliContext) -> ExitCode:
    """Print everything that is known of a request."""
    async with connected(context, worker=False) as service, kept_on_host(context) as kept:
        request = await service.requests.find(request_id)
        status, _ = await kept.status(service.requests, request)
        asked = await service.requests.asked(request.id)
        turns = await _turns(kept, request)
    whole = Whole(status, asked, planned_tasks(turns), _reviews(turns))
    redact = redactor(load(context.environ).secrets())
    if as_json:
        context.print_out(json.dumps(_document(whole), indent=2))
    else:
        context.print_prose(*map(redact, lines(whole)), commands=commands_in(status))
    return ExitCode.DELIVERED


async def _turns(kept: KeptOnHost, request: RequestSummary) -> list[LoggedTurn]:
    found = await kept.find(request)
    with readable(request):
        return await found.new_turns() if found else []


def _reviews(turns: Sequence[LoggedTurn]) -> tuple[Review, ...]:
    return tuple(
        Review(turn.agent.task, _text(turn.handed_in, "verdict"), _text(turn.handed_in, "summary"))
        for turn in turns
        if turn.agent.role == roles.REVIEWER and turn.handed_in
    )


def _text(given: Mapping[str, Any], key: str) -> str:
    return str(given.get(key, ""))


def _document(whole: Whole) -> dict[str, object]:
    return {
        **document(whole.status),
        "options": {key: value for key, value in whole.asked.items() if key != "request"},
        "plan": [task.model_dump(mode="json") for task in whole.plan],
        "reviews": [vars(review) for review in whole.reviews],
    }
