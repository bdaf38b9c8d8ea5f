"""List the rules that hold for agents in a repository, and what is written but does not count.

They are read from your own settings (ORCHESTCODE_SETTINGS, else settings.json of the home) and
from .orchestcode/settings.json of the commit that a request would start from. A repository can
deny and ask, never allow.

Examples:
  starter.py policy show
  starter.py policy show --base release

--json prints one object: rules (permission, text, reason, scope, file), mode,
auto_allow, folders, warnings.
"""

from cli.exit_codes import ExitCode
from cli.parameters import AsJson, BaseCommit, Context, RepositoryFolder


async def command(
    *,
    repo: RepositoryFolder = None,
    base: BaseCommit = None,
    as_json: AsJson = False,
    context: Context,
) -> ExitCode:
    """List what holds."""
    from cli.policy import show  # noqa: PLC0415 - not needed for its help page

    return await show(repo, base, context, as_json=as_json)
