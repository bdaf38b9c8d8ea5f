"""List what waits for you, of all open requests: the question, since when, until when.

What has the least time left stands first; without an answer it is rejected then.
Each question has the command that approves it, with the digest of what you see; `why ID` prints
all its answers. Asks the worker; without one only the number of questions of each request is
known. Of more than 50 requests the oldest are asked; --all and --json ask all of them.

Examples:
  starter.py inbox
  starter.py inbox --all
  starter.py inbox --json

--json prints an array of objects, one a question: request, repository, id, kind, what, why, risk,
digest, since and until (seconds since 1970), rules (what --for-request adds), commands. Of a
request that does not answer: request, repository, pending.
"""

from typing import Annotated

from cyclopts import Parameter

from cli.exit_codes import ExitCode
from cli.parameters import AsJson, Context

Whole = Annotated[bool, Parameter(name="--all", help="ask all requests, however many they are")]


async def command(*, whole: Whole = False, as_json: AsJson = False, context: Context) -> ExitCode:
    """List questions."""
    from cli.inbox import show_inbox  # noqa: PLC0415 - not needed for its help page

    return await show_inbox(context, whole=whole, as_json=as_json)
