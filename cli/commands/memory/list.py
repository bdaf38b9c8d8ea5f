"""List the memories of a repository: what waits for you, then what is accepted.

Agents propose memories; what you accept is told to agents of later requests, the newest 200 lines
of it at their opening. Needs no worker.

Examples:
  starter.py memory list
  starter.py memory list --waiting
  starter.py memory list --json

--json prints one array; keys of each: name, type, description, state ("waiting"
or "accepted"), given (agents that were told it), read (requests in which it was
read whole), last_used (seconds since 1970; 0: never). What waits has also
request, agent, modified.
"""

from typing import Annotated

from cyclopts import Parameter

from cli.exit_codes import ExitCode
from cli.parameters import AsJson, Context, RepositoryFolder


async def command(
    *,
    repo: RepositoryFolder = None,
    waiting: Annotated[bool, Parameter(help="only what waits for you")] = False,
    as_json: AsJson = False,
    context: Context,
) -> ExitCode:
    """List memories."""
    from cli.memories import show_list  # noqa: PLC0415 - not needed for its help page

    return await show_list(repo, waiting=waiting, as_json=as_json, context=context)
