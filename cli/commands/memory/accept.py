"""Accept a memory that waits: agents that start from now on are told it.

Look at it first, by `memory show`: its text is an agent's, and may repeat what a file told that
agent. Its name holds a digest of what it says, so what you accept is what you saw. Needs no worker.

Examples:
  starter.py memory accept tests-need-lang-c-utf-8-1f2e3d
"""

from cli.exit_codes import ExitCode
from cli.parameters import Context, MemoryName, RepositoryFolder


async def command(
    memory: MemoryName, /, *, repo: RepositoryFolder = None, context: Context
) -> ExitCode:
    """Accept a memory."""
    from cli.memories import accept  # noqa: PLC0415 - not needed for its help page

    return await accept(memory, repo, context=context)
