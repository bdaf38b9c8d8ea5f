"""Watch a request until it ends.

Starts no worker: where none runs it says so, and `up --detach` goes on with the request. On a
terminal the view is redrawn in place, elsewhere each change is a line. What an agent says is shown
word by word. Ctrl-C, or the key q, ends only the watching.

Keys, where something waits for you: a approves, r rejects, e sends it back (E with your editor);
v shows all of what is asked, n and p go to the next and the previous question, w says why, d shows
the diff, ? lists the keys. An answer is sent once you have confirmed it with y.

Examples:
  starter.py watch mine
  starter.py watch mine --task cart
"""

from typing import Annotated

from cyclopts import Parameter

from cli.client.connection import connected
from cli.exit_codes import ExitCode
from cli.followed_task import check_task
from cli.parameters import Context, RequestId
from cli.watcher import watch_to_end
from cli.worker_hint import missing_worker


async def command(
    request_id: RequestId,
    /,
    *,
    task: Annotated[
        str | None, Parameter(metavar="TASK", help="follow only this task's agents")
    ] = None,
    context: Context,
) -> ExitCode:
    """Watch one request."""
    async with connected(context, worker=False) as service:
        request = await service.requests.find(request_id)
        if not request.closed:
            context.print_err(*missing_worker(context))
        await check_task(service.requests, request, task)
        return await watch_to_end(request, service, context, task=task)
