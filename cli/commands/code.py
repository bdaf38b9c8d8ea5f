"""Print the input of an answer, note, budget or start with its code, for web UI and `temporal`.

Needed where ORCHESTCODE_ANSWER_CODES is set: there an answer, a note, a budget or a start counts
only with a code made of the secret of your home. The other commands of `starter.py` send it by
themselves. A code is for one thing, and is worth nothing once it was used.

Examples:
  starter.py code mine
  starter.py code mine --note "Keep the prices in cents"
  starter.py code mine --budget 15
  starter.py code request/new --start '{"repository": "/srv/shop", "request": "Fix the cart"}'
"""

import json
from typing import Annotated

from cyclopts import Parameter
from pydantic import ValidationError

from cli.client.connection import connected
from cli.exit_codes import ExitCode, UsageError
from cli.hints import REVISABLE
from cli.parameters import Context, RequestId
from contracts.agent import Note
from contracts.approvals import Approval, Choice
from contracts.budget import BudgetChange
from contracts.request import RequestStart, RequestStatus
from domain.approvals import allowing, codes
from domain.scheduling import limit
from domain.scheduling.budget import microusd
from runtime.home_secret import home_secret
from runtime.settings import load


async def command(
    request_id: RequestId,
    /,
    *,
    note: Annotated[str | None, Parameter(metavar="TEXT")] = None,
    budget: Annotated[str | None, Parameter(metavar="USD")] = None,
    start: Annotated[str | None, Parameter(metavar="JSON")] = None,
    context: Context,
) -> ExitCode:
    """Print inputs with their codes.

    Args:
        note: the text of a note to the request's agents
        budget: dollars for the whole request
        start: the input of a request to be started under this whole workflow id
    """
    secret = home_secret(load(context.environ))
    if start is not None:
        context.print_out(_start(secret, request_id, start))
        return ExitCode.DELIVERED
    async with connected(context, worker=note is None) as service:
        request = await service.requests.find_open(request_id)
        if note is not None:
            context.print_out(_note(secret, request.id, request.run_id, note))
            return ExitCode.DELIVERED
        if budget is not None:
            status = await service.requests.status(request.id)
            context.print_out(_budget(secret, request.id, request.run_id, status, budget))
            return ExitCode.DELIVERED
        pending = await service.requests.approvals(request.id)
    lines = [
        line for asked in pending for line in _answers(secret, request.id, request.run_id, asked)
    ]
    context.print_out(*(lines or ["Nothing waits for an answer now."]))
    return ExitCode.DELIVERED


def _answers(secret: bytes, request_id: str, run_id: str, asked: Approval) -> list[str]:
    """Return the name and the input of every signal that answers a question."""
    lines = []
    for choice in Choice:
        if choice is Choice.REVISE and asked.kind not in REVISABLE:
            continue
        code = codes.answer_code(secret, request_id, run_id, asked, choice)
        reason = {} if choice is Choice.APPROVE else {"reason": "..."}
        lines.append(f"{choice:<8} {json.dumps({'approval': asked.id, 'code': code, **reason})}")
    if asked.rules:
        meant = allowing.what_is_answered(Choice.APPROVE, for_request=True)
        code = codes.answer_code(secret, request_id, run_id, asked, meant)
        said = json.dumps({"approval": asked.id, "code": code, "for_request": True})
        lines.append(f"{Choice.APPROVE:<8} {said}")
    return lines


def _note(secret: bytes, request_id: str, run_id: str, text: str) -> str:
    try:
        note = Note(text=text.strip())
    except ValidationError as error:
        raise UsageError("A note has 1 to 4,000 characters.") from error
    code = codes.note_code(secret, request_id, run_id, note)
    return f"note     {json.dumps({'text': note.text, 'code': code}, ensure_ascii=False)}"


def _budget(secret: bytes, request_id: str, run_id: str, status: RequestStatus, text: str) -> str:
    given = limit.read(text)
    if isinstance(given, str):
        raise UsageError(given)
    change = BudgetChange(before=microusd(status.budget_usd), after=microusd(given.usd))
    code = codes.budget_code(secret, request_id, run_id, change)
    return f"budget   {json.dumps({'usd': given.usd, 'code': code})}"


def _start(secret: bytes, request_id: str, text: str) -> str:
    try:
        start = RequestStart.model_validate_json(text)
    except ValidationError as error:
        raise UsageError("--start is not the input of a request, in JSON.") from error
    code = codes.start_code(secret, request_id, start)
    return json.dumps({**json.loads(text), "code": code}, ensure_ascii=False)
