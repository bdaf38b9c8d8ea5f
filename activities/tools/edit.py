"""edit: change one file of a worktree, checked against what the agent has seen."""

import json
from typing import Literal

from pydantic import ConfigDict, Field, JsonValue

from activities.tools import changing
from activities.tools.tool import RelativePath, Tool, ToolContext, ToolOutput, failed, plain_path
from activities.tools.undoing import undo
from contracts.base import HumanInput
from contracts.tools import ApprovalClass, RetryClass
from contracts.verdicts import Effect
from domain.approvals.paths import path_problem
from domain.editing import edit
from domain.editing.patching import ChangedFile, Version
from domain.tools.registry import ToolSpec
from infra.files.confined_files import ConfinedFiles, FileState
from infra.files.confined_root import PathRefused, printable

_MOST_EDITS = 100


class TextReplacement(HumanInput):
    """One text and what takes its place."""

    # A model needs no more than the names of its fields.
    model_config = ConfigDict(json_schema_extra=lambda schema: schema.pop("description", None))

    old_str: str
    new_str: str


class EditArguments(HumanInput):
    """Change one file, or take the last edit of it back."""

    command: Literal["create", "str_replace", "insert", "undo_edit"]
    path: RelativePath
    file_text: str | None = None
    old_str: str | None = None
    new_str: str | None = None
    edits: tuple[TextReplacement, ...] | None = Field(
        default=None, max_length=_MOST_EDITS, description="str_replace: several, all or none."
    )
    insert_line: int | None = Field(default=None, ge=0, description="insert: 0 is the top.")
    insert_text: str | None = None


_EXAMPLES: dict[str, dict[str, JsonValue]] = {
    "create": {"command": "create", "path": "src/new.py", "file_text": "VALUE = 1\n"},
    "str_replace": {
        "command": "str_replace",
        "path": "src/app.py",
        "old_str": "return 1",
        "new_str": "return 2",
    },
    "insert": {
        "command": "insert",
        "path": "src/app.py",
        "insert_line": 0,
        "insert_text": "import os\n",
    },
}


async def execute(context: ToolContext, arguments: EditArguments) -> ToolOutput:
    """Change the file and checkpoint the worktree; a refused edit says what to do instead."""
    problem = path_problem(arguments.path)
    if problem:
        return failed(f"Error: {problem}")
    path = plain_path(arguments.path)
    if arguments.path.endswith("/"):
        return failed(f"Error: '{printable(path)}' is a folder, not a file.")
    try:
        with changing.editor(context) as files:
            if arguments.command == "undo_edit":
                return await undo(context, files, path, spec=TOOL.spec)
            before = files.read(arguments.path)
            return await _edit(context, files, path, before, arguments)
    except PathRefused as error:
        return failed(f"Error: {error}")


async def _edit(
    context: ToolContext,
    files: ConfinedFiles,
    path: str,
    before: FileState | None,
    arguments: EditArguments,
) -> ToolOutput:
    decided = _decide(arguments, before.data if before else None, context.seen.get(path))
    if isinstance(decided, edit.Refused):
        return failed(decided.message)
    held = changing.version(before)
    after = Version(decided.after, executable=held.executable if held else False)
    done = f"Done: {path} ({decided.match_kind})."
    made = changing.Changes(
        files=[ChangedFile(path, held, after)],
        states={path: before},
        told=[done, decided.note, decided.diff],
        message=changing.about("edit", [path]),
    )
    return await changing.carry_out(context, files, made)


def _decide(
    arguments: EditArguments, before: bytes | None, known: str | None
) -> edit.Edited | edit.Refused:
    path = arguments.path
    match arguments.command:
        case "create":
            if arguments.file_text is None:
                return _incomplete("create", "file_text")
            return edit.create(before, arguments.file_text, seen=known, path=path)
        case "insert":
            if arguments.insert_line is None or arguments.insert_text is None:
                return _incomplete("insert", "insert_line and insert_text")
            line, text = arguments.insert_line, arguments.insert_text
            return edit.insert(before, line, text, seen=known, path=path)
        case _:
            return _replace(arguments, before, known)


def _replace(
    arguments: EditArguments, before: bytes | None, known: str | None
) -> edit.Edited | edit.Refused:
    path, old, new = arguments.path, arguments.old_str, arguments.new_str
    if arguments.edits is not None:
        if old is not None or new is not None:
            return edit.Refused("Error: str_replace takes old_str and new_str, or edits, not both.")
        pairs = [(each.old_str, each.new_str) for each in arguments.edits]
        return edit.replace_each(before, pairs, path=path, seen=known)
    if old is None or new is None:
        return _incomplete("str_replace", "old_str and new_str, or edits")
    return edit.str_replace(before, old, new, path=path, seen=known)


def _incomplete(command: str, missing: str) -> edit.Refused:
    example = json.dumps(_EXAMPLES[command])
    return edit.Refused(f"Error: {command} needs {missing}. Arguments that fit: {example}")


TOOL = Tool(
    ToolSpec(
        name="edit",
        description="Change one file: create it, str_replace a text that occurs exactly once, "
        "insert after a line, or undo_edit: take your last edit of it back. View a file before you "
        "change it.",
        arguments=EditArguments,
        effect=Effect.WRITE,
        retry=RetryClass.JOURNALED,
        approval=ApprovalClass.PATH,
        subject="path",
        example=_EXAMPLES["str_replace"],
    ),
    execute,
)
