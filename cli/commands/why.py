"""Say in a paragraph what a request waits for and since when, or why it failed.

The cause comes first: what waits for you, what cannot be reached, or the command that failed with
its exit code and the end of its output. Then what is kept and what to do. Needs no worker.

Examples:
  starter.py why mine
"""

from cli.exit_codes import ExitCode
from cli.parameters import Context, RequestId


async def command(request_id: RequestId, /, *, context: Context) -> ExitCode:
    """Explain one request."""
    from cli.explanation import explain  # noqa: PLC0415 - not needed for its help page

    return await explain(request_id, context=context)
