"""Set what a request may cost, also while it waits for money.

The amount is in dollars and for the whole request, with what it has spent. It can be set at any
time while the request is open; what waits for money goes on by itself once the amount suffices.
Without a worker it is stored with the server and counts as soon as a worker runs.

Examples:
  starter.py budget mine 15
"""

from typing import Annotated

from cyclopts import Parameter
from pydantic import ValidationError

from cli import hints
from cli.budgets import budget_code
from cli.client.connection import connected
from cli.context import CliContext
from cli.exit_codes import ExitCode, ServiceUnavailable, UsageError
from cli.formatting import clean
from cli.parameters import Context, RequestId
from contracts.budget import SetBudget
from domain.scheduling import limit
from runtime.settings import load


async def command(
    request_id: RequestId,
    usd: Annotated[str, Parameter(name="USD", help="dollars for the whole request")],
    /,
    *,
    context: Context,
) -> ExitCode:
    """Set a request's budget."""
    wanted = _amount(usd, context)
    # A service run by others keeps the amount for its own workers.
    own = load(context.environ).temporal_address is None
    async with connected(context, worker=own) as service:
        requests = service.requests
        request = await requests.find_open(request_id)
        try:
            code = await budget_code(wanted, request, requests, context)
            receipt = await requests.set_budget(
                request.id, wanted.model_copy(update={"code": code})
            )
            context.print_out(clean(receipt.message, 500))
        except ServiceUnavailable as error:
            if load(context.environ).answer_codes:
                raise UsageError(
                    "No worker answers, so the budget cannot be set with its code; start one with "
                    "`up --detach`, then set it again."
                ) from error
            await requests.signal_budget(request.id, wanted)
            start = hints.start_command(context.program)
            context.print_out(f"{error} The budget is sent and counts as soon as one runs: {start}")
    return ExitCode.DELIVERED


def _amount(text: str, context: CliContext) -> SetBudget:
    given = limit.read(text)
    if isinstance(given, str):
        raise UsageError(given)
    try:
        return SetBudget(usd=given.usd, by=context.user)
    except ValidationError:
        return given
