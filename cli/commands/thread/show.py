"""Show a thread: what each run was asked, what it came to, and what waits.

Any request of the thread names it. Needs no worker.

Examples:
  starter.py thread show mine
  starter.py thread show mine --json

Keys of --json: runs (each: id, state, request, outcome, branch, commit, cost_usd), waiting (a line
for each follow-up that starts later).
"""

from cli.exit_codes import ExitCode
from cli.parameters import AsJson, Context, RequestId


async def command(
    request_id: RequestId, /, *, as_json: AsJson = False, context: Context
) -> ExitCode:
    """Show one thread."""
    from cli.threads import show_thread  # noqa: PLC0415 - not needed for its help page

    return await show_thread(request_id, as_json=as_json, context=context)
