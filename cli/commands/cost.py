"""Show what a request has cost, by task, role and model; of all requests without an ID.

Tokens are those that the service counts: fresh input, written to its cache for five minutes and
for an hour, read from its cache, output. What agents at work have spent is in it, and so are calls
that broke off and may have to be paid for. Needs no worker.

Examples:
  starter.py cost mine
  starter.py cost
  starter.py cost mine --json

Keys of --json, of one request: id, cost_usd, unpriced_tokens (tokens whose
price is not known; cost_usd leaves them out), parts (each: task, "" for the
planner; role, model, turns, usage, cost_usd, priced). Of all: an array of
id, state, cost_usd, unpriced_tokens, usage.
"""

from typing import Annotated

from cyclopts import Parameter

from cli.exit_codes import ExitCode
from cli.parameters import AsJson, Context


async def command(
    request_id: Annotated[
        str | None, Parameter(name="ID", help="a request; left out, all of them")
    ] = None,
    /,
    *,
    as_json: AsJson = False,
    context: Context,
) -> ExitCode:
    """Show costs."""
    from cli.costs import show_cost, show_costs  # noqa: PLC0415 - not needed for its help page

    if request_id is None:
        return await show_costs(as_json=as_json, context=context)
    return await show_cost(request_id, as_json=as_json, context=context)
