"""Reject a memory that waits: it is deleted, and not proposed again.

Needs no worker.

Examples:
  starter.py memory reject tests-need-lang-c-utf-8-1f2e3d
"""

from cli.exit_codes import ExitCode
from cli.parameters import Context, MemoryName, RepositoryFolder


async def command(
    memory: MemoryName, /, *, repo: RepositoryFolder = None, context: Context
) -> ExitCode:
    """Reject a memory."""
    from cli.memories import reject  # noqa: PLC0415 - not needed for its help page

    return await reject(memory, repo, context=context)
