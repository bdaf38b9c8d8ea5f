"""Fork a task after one of its turns: a second one goes on from there, as you say.

The fork is a task of its own with the files and the conversation as they were after that turn; the
first one goes on as it was. `diff ID TASK FORK` compares the two results. One of them lands: you
approve one, and the other is not taken. `turns ID TASK` lists the turns.

Examples:
  starter.py fork mine cart 7 "Use a table instead of the class"
  starter.py diff mine cart cart-fork
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
    words: Annotated[str, Parameter(name="TEXT", help="how it is to be done")],
    /,
    *,
    budget_usd: BudgetFromNow = None,
    detach: Detach = False,
    context: Context,
) -> ExitCode:
    """Fork a task."""
    from cli.retrying import Options  # noqa: PLC0415 - not needed for its help page

    options = Options(others={"budget_usd": budget_usd}, detach=detach)
    return await go_back(request_id, task, turn, words, fork=True, options=options, context=context)
