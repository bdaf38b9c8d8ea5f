"""List the turns of a task's agents; with a number show one: words, calls, outputs, diff.

Each turn has its number, time, agent, calls in words, changed files, tokens, cost and checkpoint:
the state of its files, to which `rollback` takes the task back and at which `fork` begins another.
A turn that is marked as undone came after one to which the task went back; it is kept all the same.
CHECKPOINT_CORRUPTION marks what is damaged on the disk. Needs no worker.

Examples:
  starter.py turns mine cart
  starter.py turns mine cart 7
  starter.py turns mine cart --json

Keys of --json, an array: those of `log --json`, and number, commit (in the log), checkpoint,
files, outputs (each: call, is_error, text), undone, damage ("" for nothing).
"""

from typing import Annotated

from cyclopts import Parameter

from cli.exit_codes import ExitCode
from cli.going_back import turn_number
from cli.parameters import AsJson, Context, RequestId, converted


async def command(
    request_id: RequestId,
    task: Annotated[str, Parameter(name="TASK", help="a task of its plan")],
    turn: Annotated[
        int | None,
        converted(turn_number, name=("TURN",), metavar="N"),
        Parameter(help="show this one; left out, all of them"),
    ] = None,
    /,
    *,
    full: Annotated[bool, Parameter(help="show every text whole")] = False,
    as_json: AsJson = False,
    context: Context,
) -> ExitCode:
    """Show the turns of one task."""
    from cli.task_turns import show_turns  # noqa: PLC0415 - not needed for its help page

    return await show_turns(request_id, task, turn, full=full, as_json=as_json, context=context)
