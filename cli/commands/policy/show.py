"""List the rules that hold for agents in a repository, and what is written but does not count.

They are read from your own settings (ORCHESTCODE_SETTINGS, else settings.json of the home) and
from .orchestcode/settings.json of the commit that a request would start from. A repository can
deny and ask, never allow.

Examples:
  starter.py policy show
  starter.py policy show --base release
  starter.py policy show --request mine

--json prints one object: rules (permission, text, reason, scope, file), mode,
auto_allow, folders, warnings.
"""

from typing import Annotated

from cyclopts import Parameter

from cli.exit_codes import ExitCode, UsageError
from cli.parameters import AsJson, BaseCommit, Context, RepositoryFolder


async def command(
    *,
    repo: RepositoryFolder = None,
    base: BaseCommit = None,
    request: Annotated[
        str | None,
        Parameter(metavar="ID", help="of a request: its rules, and those that answers have added"),
    ] = None,
    as_json: AsJson = False,
    context: Context,
) -> ExitCode:
    """List what holds."""
    from cli.policy import show, show_request  # noqa: PLC0415 - not needed for its help page

    if request is None:
        return await show(repo, base, context, as_json=as_json)
    if repo or base:
        raise UsageError("--request names the rules of one request: leave --repo and --base out.")
    return await show_request(request, context, as_json=as_json)
