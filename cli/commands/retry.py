"""Let a request go on that has failed or was cancelled; what is done stays, nothing is paid twice.

Tasks that are done stay. One that was cancelled goes on where it was; one that failed begins a new
attempt on its last state, told why the last one failed. The checks are run again, and the branch is
delivered as ever. What was spent counts: --budget-usd raises the whole budget.
With a TASK only that one and what depends on it run again, done or not.

Examples:
  starter.py retry mine
  starter.py retry mine fixes-the-cart --budget-usd 15
"""

from typing import Annotated

from cyclopts import Parameter

from cli.exit_codes import ExitCode
from cli.parameters import (
    CoderModel,
    Context,
    Detach,
    PlannerModel,
    RequestId,
    ReviewerModel,
    Thinking,
    converted,
)
from cli.request_options import WindowSize, dollars, task_count


async def command(  # noqa: PLR0913 - a parameter an option
    request_id: RequestId,
    task: Annotated[
        str | None, Parameter(name="TASK", help="a task of its plan; left out, all not done")
    ] = None,
    /,
    *,
    budget_usd: Annotated[
        float | None, converted(dollars, name=("--budget-usd", "--budget"), metavar="USD")
    ] = None,
    branch: Annotated[str | None, Parameter(metavar="NAME")] = None,
    max_parallel: Annotated[int | None, converted(task_count, metavar="N")] = None,
    model: Annotated[str | None, Parameter(metavar="MODEL")] = None,
    model_planner: PlannerModel = None,
    model_coder: CoderModel = None,
    model_reviewer: ReviewerModel = None,
    fallback_model: Annotated[str | None, Parameter(metavar="MODEL")] = None,
    effort: Thinking = None,
    window_tokens: WindowSize = None,
    detach: Detach = False,
    context: Context,
) -> ExitCode:
    """Retry a request; watch it unless it is detached.

    Args:
        budget_usd: dollars that all attempts together may cost (default: as before)
        branch: the branch to deliver (default: as before)
        max_parallel: tasks that run at once (default: as before)
        model: the model of every agent that begins anew (default: as before)
        fallback_model: the model that is asked where another declines or is overloaded for long
    """
    from cli.retrying import Options, retry_request  # noqa: PLC0415 - not needed for its help page

    models = {
        "model": model,
        "model_planner": model_planner,
        "model_coder": model_coder,
        "model_reviewer": model_reviewer,
    }
    return await retry_request(
        request_id,
        task,
        Options(
            models={field: name for field, name in models.items() if name},
            others={
                "budget_usd": budget_usd,
                "branch": branch,
                "max_parallel": max_parallel,
                "fallback_model": fallback_model,
                "effort": effort,
                "window_tokens": window_tokens,
            },
            detach=detach,
        ),
        context,
    )
