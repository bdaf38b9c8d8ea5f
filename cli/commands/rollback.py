"""Take a task back to the state after one of its turns; its agent goes on from there.

Files and conversation go back together, of a task that failed, was cancelled, or is at work: then
what it does is ended first. Nothing is deleted: what came after the turn is marked as undone in
`turns` and `log`, and can be gone back to as well. Nothing that was paid is paid again.
`turns ID TASK` lists the turns; your words, if any, are told to the agent first.

Examples:
  starter.py rollback mine cart 7
  starter.py rollback mine cart 7 "Keep the old name of the function"
"""

from typing import Annotated

from cyclopts import Parameter

from cli.exit_codes import ExitCode
from cli.going_back import go_back, turn_number
from cli.parameters import Context, Detach, RequestId, converted
from cli.request_options import BudgetFromNow


async def command(
    request_id: RequestId,
    task: Annotated[str, Parameter(name="TASK", help="a task of its plan")],
    turn: Annotated[
        int,
        converted(turn_number, name=("TURN",), metavar="N"),
        Parameter(help="its number, as `turns` lists it"),
    ],
    words: Annotated[str, Parameter(name="TEXT", help="told to the agent first")] = "",
    /,
    *,
    budget_usd: BudgetFromNow = None,
    detach: Detach = False,
    context: Context,
) -> ExitCode:
    """Take a task back."""
    from cli.retrying import Options  # noqa: PLC0415 - not needed for its help page

    options = Options(others={"budget_usd": budget_usd}, detach=detach)
    return await go_back(
        request_id, task, turn, words, fork=False, options=options, context=context
    )
