"""Show the whole of a request: words, options, plan, reviews, checks, commits.

The plan with the goal and the acceptance commands of each task, each review with its verdict and
what became of its findings. Needs no worker.

Examples:
  starter.py show mine
  starter.py show mine --json

Keys of --json: those of `status --json`, and options (what was asked for
beside the request), plan (each task as planned: id, title, goal, depends_on,
writes, acceptance, size, risk), reviews (each: task, verdict, summary).
"""

from cli.exit_codes import ExitCode
from cli.parameters import AsJson, Context, RequestId


async def command(
    request_id: RequestId, /, *, as_json: AsJson = False, context: Context
) -> ExitCode:
    """Show one request."""
    from cli.showing import show_request  # noqa: PLC0415 - not needed for its help page

    return await show_request(request_id, as_json=as_json, context=context)
