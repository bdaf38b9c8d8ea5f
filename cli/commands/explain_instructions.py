"""Show which instructions agents are told in a repository, and why.

AGENTS.override.md, AGENTS.md, CLAUDE.md, .claude/CLAUDE.md: of each folder from the root to the
paths that a task may change the first with a text counts, with what it imports by @path; outer
ones come first. They are read from the commit that a request would start from. Your own come
before them: of ORCHESTCODE_INSTRUCTIONS, else AGENTS.md of the home, what Codex or Claude Code has
for you. Together they take 32 KiB at most; the outermost are cut first.

Examples:
  starter.py explain-instructions
  starter.py explain-instructions src/shop/ docs/index.md
  starter.py explain-instructions --base release
"""

from typing import Annotated

from cyclopts import Parameter

from cli.exit_codes import ExitCode
from cli.parameters import BaseCommit, Context
from cli.repository_folder import repository_folder


async def command(
    *paths: Annotated[str, Parameter(name="PATHS")],
    repo: Annotated[str | None, Parameter(metavar="PATH")] = None,
    base: BaseCommit = None,
    text: bool = False,
    context: Context,
) -> ExitCode:
    """Show which instructions hold.

    Args:
        paths: paths and patterns that a task may change, a slash ends a folder (default: all)
        repo: the git repository (default: the one you stand in)
        text: show what is told, too
    """
    from cli.told_instructions import explain  # noqa: PLC0415 - not needed for its help page

    return await explain(
        repository_folder(repo, context), base, paths or ("**",), context, whole=text
    )
