"""Show what a request, or one of its tasks, has changed so far.

Of a request: what has landed against its base, then the change of each task that has not landed,
those that wait for your answer among them. Of a task: its patch; while its agent is at work, the
last state of its worktree. Of two tasks: what the second one's result has otherwise than the first
one's, as of a task and its fork. Needs no worker. On a terminal it is coloured and shown by the
pager that git would take (GIT_PAGER, core.pager of your own configuration, PAGER, less); elsewhere
it is plain. Characters that hide or move a cursor are written out, so what is shown is to be read:
to apply it, fetch the commit. No filter, text conversion or diff program of a repository is run.

Examples:
  starter.py diff mine
  starter.py diff mine cart
  starter.py diff mine cart cart-fork
  starter.py diff mine --stat
"""

from typing import Annotated

from cyclopts import Parameter

from cli.exit_codes import ExitCode
from cli.parameters import Context, RequestId, TaskName


async def command(
    request_id: RequestId,
    task: TaskName = None,
    other: Annotated[
        str | None, Parameter(name="TASK2", help="show what its result has otherwise")
    ] = None,
    /,
    *,
    stat: Annotated[bool, Parameter(help="the changed files and how much of each")] = False,
    context: Context,
) -> ExitCode:
    """Show the changes of one request."""
    from cli.changes import show_changes  # noqa: PLC0415 - not needed for its help page

    return await show_changes(request_id, task, other, stat=stat, context=context)
