"""view: show a file with line numbers, or list a folder."""

import asyncio

from pydantic import Field

from activities.tools import scratch
from activities.tools.tool import RelativePath, Tool, ToolContext, ToolOutput, failed, plain_path
from contracts.base import HumanInput
from contracts.tools import ApprovalClass, RetryClass
from contracts.verdicts import Effect
from domain.editing import edit, seen
from domain.tools.registry import ToolSpec
from infra.files.confined_files import ConfinedFiles
from infra.files.confined_root import PathRefused
from infra.files.listing import list_directory
from infra.store.object_format import SUBMODULE_MODE


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
    root, path, before = scratch.place_of(context, arguments.path.rstrip("/") or ".")
    owner = context.worktree.uid
    try:
        with ConfinedFiles(root, owner=(owner, owner) if owner is not None else None) as files:
            if path == "." or files.is_folder(path):
                listed = [f"{before}{entry}" for entry in list_directory(files, path)]
                return ToolOutput("\n".join(listed) or await _empty(context, before, path))
            found = files.read(path)
    except PathRefused as error:
        return failed(f"Error: {error}")
    if found is None:
        lost = f" {scratch.LOST}" if before and scratch.was_lost(context) else ""
        return failed(f"Error: File not found: {before}{path}{lost and '.'}{lost}")
    shown, view_range = f"{before}{plain_path(path)}", arguments.view_range
    # A large file takes a moment, and the worker has other calls to answer.
    viewed = await asyncio.to_thread(
        edit.view, found.data, (view_range[0], view_range[1]) if view_range else None, path=shown
    )
    if isinstance(viewed, edit.Refused):
        return failed(viewed.message)
    if not before:  # files of the scratch folder are not edited
        lines = (viewed.first, viewed.last, viewed.line_count)
        context.seen[shown] = seen.viewed(context.seen.get(shown), viewed.sha256, *lines)
    text = "\n".join(filter(None, [viewed.text, viewed.note]))
    return ToolOutput(text or "(empty file)")


async def _empty(context: ToolContext, before: str, path: str) -> str:
    inside = not before and path != "."
    entry = await context.store.entry_at(context.expected, path) if inside else None
    if entry is not None and entry.mode == SUBMODULE_MODE:
        return "(empty here: a submodule, whose files are not checked out)"
    return "(empty folder)"


TOOL = Tool(
    ToolSpec(
        name="view",
        description="Show a file of the repository, or of /tmp, with line numbers, or list a "
        "folder two levels deep. At most 2,000 lines at once: give view_range to see another part.",
        arguments=ViewArguments,
        effect=Effect.READ,
        retry=RetryClass.PURE,
        approval=ApprovalClass.FREE,
        subject="path",
        example={"path": "src/app.py", "view_range": [1, 80]},
    ),
    execute,
)
