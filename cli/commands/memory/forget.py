"""Forget an accepted memory: no agent is told it any more, and it is not proposed again.

Its text leaves the store with the next clean-up (`gc`). Conversations that were told it keep it
until their request is forgotten. Needs no worker.

Examples:
  starter.py memory forget tests-need-lang-c-utf-8-1f2e3d
"""

from cli.exit_codes import ExitCode
from cli.parameters import Context, MemoryName, RepositoryFolder


async def command(
    memory: MemoryName, /, *, repo: RepositoryFolder = None, context: Context
) -> ExitCode:
    """Forget a memory."""
    from cli.memories import forget  # noqa: PLC0415 - not needed for its help page

    return await forget(memory, repo, context=context)
