"""apply_patch: change several files, or several places of one, all of them or none."""

from pydantic import Field, field_validator

from activities.tools import changing
from activities.tools.tool import Tool, ToolContext, ToolOutput, failed
from contracts.base import HumanInput
from contracts.tools import ApprovalClass, RetryClass
from contracts.verdicts import Effect
from domain.approvals.paths import path_problem
from domain.editing.edit import Refused
from domain.editing.patch_parser import parse_patch, paths_changed
from domain.editing.patching import plan
from domain.tools.registry import ToolSpec
from infra.files.confined_root import PathRefused

_MOST_CHARS = 500_000


class PatchArguments(HumanInput):
    """Apply a patch to files of the repository."""

    patch: str = Field(
        max_length=_MOST_CHARS, description="Unified diff, or *** Begin Patch … *** End Patch."
    )

    @field_validator("patch")
    @classmethod
    def _is_patch(cls, text: str) -> str:
        parse_patch(text)
        return text


async def execute(context: ToolContext, arguments: PatchArguments) -> ToolOutput:
    """Apply the patch and checkpoint the worktree; where a part does not fit, nothing is done."""
    patch = parse_patch(arguments.patch)
    for path in patch.paths:
        if problem := path_problem(path):
            return failed(f"Error: {path}: {problem}")
    try:
        with changing.editor(context) as files:
            states = {path: files.read(path) for path in patch.paths}
            planned = plan(patch, changing.versions(states), context.seen)
            if isinstance(planned, Refused):
                return failed(planned.message)
            changed = [change.path for change in planned.changes]
            told = ["Done:", *planned.told]
            message = changing.about("patch", changed)
            made = changing.Changes(planned.changes, states, told, message, planned.origins)
            return await changing.carry_out(context, files, made)
    except PathRefused as error:
        return failed(f"Error: {error} Nothing was changed.")


TOOL = Tool(
    ToolSpec(
        name="apply_patch",
        description="Change, add, delete and move files at once: the whole patch or nothing. "
        "Places are found by their lines of context.",
        arguments=PatchArguments,
        effect=Effect.WRITE,
        retry=RetryClass.JOURNALED,
        approval=ApprovalClass.PATH,
        subject="patch",
        example={
            "patch": "*** Begin Patch\n*** Update File: src/app.py\n@@\n def run():\n"
            "-    return 1\n+    return 2\n*** Add File: src/new.py\n+VALUE = 1\n*** End Patch\n"
        },
        changed_paths=paths_changed,
    ),
    execute,
)
