"""Say which rule of which file decides on a tool call, and why.

The call is written as rules are: a tool of Claude Code's or of ours with its command or path. The
rules are those that a request would be opened with now: your own settings, and those of the commit
that it would start from. Nothing is run.

Examples:
  starter.py policy explain 'Bash(git push origin)'
  starter.py policy explain 'Edit(.github/workflows/ci.yml)'
  starter.py policy explain 'Read(secrets/key.pem)' --base release

--json prints one object: permission ("allow", "ask", "deny"), rule, reason.
"""

from typing import Annotated

from cyclopts import Parameter

from cli.exit_codes import ExitCode
from cli.parameters import AsJson, BaseCommit, Context, RepositoryFolder


async def command(
    call: Annotated[str, Parameter(name="CALL")],
    /,
    *,
    repo: RepositoryFolder = None,
    base: BaseCommit = None,
    as_json: AsJson = False,
    context: Context,
) -> ExitCode:
    """Say which rule decides.

    Args:
        call: the tool and what it is given, such as 'Bash(make test)'
    """
    from cli.policy import explain  # noqa: PLC0415 - not needed for its help page

    return await explain(call, repo, base, context, as_json=as_json)
