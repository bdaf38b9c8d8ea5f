"""Look at a repository and propose its settings: setup and checks, written after a yes.

Shows what was found (languages, package managers, lock and version files, environments, test
commands), then the change of .orchestcode/settings.json: `setup` installs what the repository
depends on before agents start, `checks` must pass where `run` names none with --check. What stands
in the file already stays. Nothing of the repository is run. Commit the file: a request reads it
from the commit that it starts from.

Examples:
  starter.py init
  starter.py init --repo ~/src/shop --yes
"""

from typing import Annotated

from cyclopts import Parameter

from cli.exit_codes import ExitCode
from cli.parameters import Context
from cli.repository_folder import repository_folder


async def command(
    *,
    repo: Annotated[str | None, Parameter(metavar="PATH")] = None,
    yes: bool = False,
    context: Context,
) -> ExitCode:
    """Propose the settings of a repository.

    Args:
        repo: the git repository (default: the one you stand in)
        yes: write them without asking
    """
    from cli.initial_settings import propose  # noqa: PLC0415 - not needed for its help page

    return propose(repository_folder(repo, context), context, yes=yes)
