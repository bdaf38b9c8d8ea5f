"""Show what the agents of a request were told, said and did, and what each turn cost.

The planner, coders and reviewers in the order of time, as the store of this host keeps them: needs
no worker. A line with -> is a tool call, with <- the output of one, with => what an agent hands in.
Long texts are shortened; --full shows them whole, with the arguments of every call.

Examples:
  starter.py log mine
  starter.py log mine cart --full
  starter.py log mine --follow
  starter.py log mine --json

--json prints a line for each turn, an object: at (seconds since 1970), role,
task ("" for the planner), agent, turn (0: its opening), window (of the agent,
from 1), because (why the window before it ended), model, cost_usd, usage,
discarded, sent_back, told (each: call, is_error, text), says, calls (each:
tool, subject, arguments, problem), handed_in, undone (its task went back to a turn before it),
damage ("" for nothing).
"""

from typing import Annotated

from cyclopts import Parameter

from cli.exit_codes import ExitCode
from cli.parameters import AsJson, Context, RequestId, TaskName


async def command(
    request_id: RequestId,
    task: TaskName = None,
    /,
    *,
    full: Annotated[bool, Parameter(help="show every text whole")] = False,
    follow: Annotated[bool, Parameter(help="go on until the request ends")] = False,
    as_json: AsJson = False,
    context: Context,
) -> ExitCode:
    """Show the conversations of one request."""
    from cli.conversations import show_log  # noqa: PLC0415 - not needed for its help page

    return await show_log(
        request_id, task, full=full, follow=follow, as_json=as_json, context=context
    )
