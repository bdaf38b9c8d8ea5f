"""That a task which a person names is in the plan."""

from cli.client import RequestClient, RequestSummary
from cli.exit_codes import UsageError
from cli.formatting import clean, name


async def check_task(requests: RequestClient, request: RequestSummary, task: str | None) -> None:
    """Refuse a task that the plan does not have; without a plan or a worker it is not known.

    Raises:
        UsageError: there is no such task; the text names those that there are.
    """
    if task is None:
        return
    status, _ = await requests.known_status(request)
    known = [row.id for row in status.tasks]
    if known and task not in known:
        raise UsageError(
            f"{name(request.id)} has no task {clean(task, 60)}; its tasks: {', '.join(known)}."
        )
