"""Give a task back to its agent, with what you have made of its files.

What is in the folder of `hand-off` is committed in your name and becomes the state of the task; its
agent is told which files you have changed, and your words. It goes on in its conversation: nothing
that was paid is paid again. Your work is checked and reviewed with the agent's.

Examples:
  starter.py resume mine cart
  starter.py resume mine cart "The parser is right now; write the tests"
"""

from typing import Annotated

from cyclopts import Parameter

from cli.exit_codes import ExitCode
from cli.parameters import Context, Detach, RequestId
from cli.request_options import BudgetFromNow


async def command(
    request_id: RequestId,
    task: Annotated[str, Parameter(name="TASK", help="a task of its plan")],
    words: Annotated[str, Parameter(name="TEXT", help="told to the agent first")] = "",
    /,
    *,
    folder: Annotated[str | None, Parameter(name="--from", metavar="FOLDER")] = None,
    budget_usd: BudgetFromNow = None,
    detach: Detach = False,
    context: Context,
) -> ExitCode:
    """Give a task back.

    Args:
        folder: where you worked (default: the folder of `hand-off` in the home)
    """
    from cli.handing_off import resume  # noqa: PLC0415 - not needed for its help page
    from cli.retrying import Options  # noqa: PLC0415

    options = Options(others={"budget_usd": budget_usd}, detach=detach)
    return await resume(request_id, task, words, folder, options=options, context=context)
