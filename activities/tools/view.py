"""view: show a file with line numbers, or list a folder."""

import asyncio

from pydantic import Field

from activities.tools.tool import RelativePath, Tool, ToolContext, ToolOutput, failed, plain_path
from contracts.base import HumanInput
from contracts.tools import ApprovalClass, RetryClass
from contracts.verdicts import Effect
from domain.editing import edit, seen
from domain.tools.registry import ToolSpec
from infra.files.confined_files import ConfinedFiles
from infra.files.confined_root import PathRefused
from infra.files.listing import list_directory


class ViewArguments(HumanInput):
    """Show a file with line numbers, or list a folder."""

    path: RelativePath
    view_range: list[int] | None = Field(
        default=None,
        min_length=2,
        max_length=2,
        description="First and last line, counting from 1; -1 as last means the end.",
    )


async def execute(context: ToolContext, arguments: ViewArguments) -> ToolOutput:
    """Return the file's lines or the folder's entries; a viewed file counts as seen."""
    path = arguments.path.rstrip("/") or "."
    try:
        with ConfinedFiles(context.worktree.path) as files:
            if path == "." or files.is_folder(path):
                return ToolOutput("\n".join(list_directory(files, path)) or "(empty folder)")
            found = files.read(path)
    except PathRefused as error:
        return failed(f"Error: {error}")
    if found is None:
        return failed(f"Error: File not found: {path}")
    path = plain_path(path)
    span = arguments.view_range
    view_range = (span[0], span[1]) if span else None
    # A large file takes a moment, and the worker has other calls to answer.
    viewed = await asyncio.to_thread(edit.view, found.data, view_range, path=path)
    if isinstance(viewed, edit.Refused):
        return failed(viewed.message)
    context.seen[path] = seen.viewed(
        context.seen.get(path), viewed.sha256, viewed.first, viewed.last, viewed.line_count
    )
    text = "\n".join(filter(None, [viewed.text, viewed.note]))
    return ToolOutput(text or "(empty file)")


TOOL = Tool(
    ToolSpec(
        name="view",
        description="Show a file of the repository with line numbers, or list a folder two levels "
        "deep. At most 2,000 lines at once: give view_range to see another part of a long file.",
        arguments=ViewArguments,
        effect=Effect.READ,
        retry=RetryClass.PURE,
        approval=ApprovalClass.FREE,
        subject="path",
    ),
    execute,
)
