"""Show one memory whole: what it says, where it came from, how often it was used.

Also one that waits for you. Needs no worker.

Examples:
  starter.py memory show tests-need-lang-c-utf-8-1f2e3d
  starter.py memory show tests-need --json

Keys of --json: those of `memory list --json`, and text, request, agent, modified,
evidence, files (each: path, object), accepted, accepted_by.
"""

from cli.exit_codes import ExitCode
from cli.parameters import AsJson, Context, MemoryName, RepositoryFolder


async def command(
    memory: MemoryName,
    /,
    *,
    repo: RepositoryFolder = None,
    as_json: AsJson = False,
    context: Context,
) -> ExitCode:
    """Show a memory."""
    from cli.memories import show_one  # noqa: PLC0415 - not needed for its help page

    return await show_one(memory, repo, as_json=as_json, context=context)
