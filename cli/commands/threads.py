"""List the threads: requests with follow-ups, by `run --thread`.

Needs no worker. `thread show ID` shows what each run was asked and came to.

Examples:
  starter.py threads
  starter.py threads --json

Keys of --json, an array: thread (the first request), runs (ids, in order), state (of the last),
repository.
"""

from cli.exit_codes import ExitCode
from cli.parameters import AsJson, Context


async def command(*, as_json: AsJson = False, context: Context) -> ExitCode:
    """List the threads."""
    from cli.threads import show_threads  # noqa: PLC0415 - not needed for its help page

    return await show_threads(as_json=as_json, context=context)
