"""Work on a task's files yourself: its agent stops, and you get a folder with its files.

What the agent does at this moment is ended first; everything up to its last turn is in the folder,
a git repository of its own. While you work, the rest of the request goes on, and the task waits.
`resume` gives it back with what you have made; `approve ID hand-off/TASK` lets its agent go on
without that; `reject` gives the task up. A task of a request that failed or was cancelled can be
taken as well: `resume` then lets the request go on.

Examples:
  starter.py hand-off mine cart
  starter.py hand-off mine cart --to ~/src/cart
"""

from typing import Annotated

from cyclopts import Parameter

from cli.exit_codes import ExitCode
from cli.parameters import Context, RequestId


async def command(
    request_id: RequestId,
    task: Annotated[str, Parameter(name="TASK", help="a task of its plan")],
    /,
    *,
    to: Annotated[str | None, Parameter(metavar="FOLDER")] = None,
    context: Context,
) -> ExitCode:
    """Take a task over.

    Args:
        to: the folder to make, empty or not there yet (default: one in the home)
    """
    from cli.handing_off import hand_off  # noqa: PLC0415 - not needed for its help page

    return await hand_off(request_id, task, to, context)
