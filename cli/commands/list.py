"""List requests, newest first, with what they cost, how old they are and their repositories.

Open requests stand first, then those that ended last; of more than 50, --all shows the rest
too, and what was refused before anything was made of it, as a wrong folder or branch.
The column WAITS FOR YOU counts the approvals that a request waits for. --json prints an array of
the objects that `status --json` prints, for all of them; `status --help` describes their keys.

Examples:
  starter.py list
  starter.py list --all
  starter.py list --json
"""

from typing import Annotated

from cyclopts import Parameter

from cli.exit_codes import ExitCode
from cli.parameters import AsJson, Context

Whole = Annotated[
    bool, Parameter(name="--all", help="show what ended long ago, and what was refused, too")
]


async def command(*, whole: Whole = False, as_json: AsJson = False, context: Context) -> ExitCode:
    """List requests."""
    from cli.listing import show_list  # noqa: PLC0415 - not needed for its help page

    return await show_list(as_json=as_json, whole=whole, context=context)
