"""edit: change one file of a worktree, checked against what the agent has seen."""

import json
import os
from pathlib import Path
from typing import Literal

from pydantic import Field, JsonValue

from activities.tools import undeclared_paths
from activities.tools.tool import RelativePath, Tool, ToolContext, ToolOutput, failed, plain_path
from contracts.base import HumanInput
from contracts.tools import ApprovalClass, RetryClass
from contracts.verdicts import Effect
from domain.approvals.paths import path_problem
from domain.editing import edit, seen
from domain.editing.syntax import new_problems
from domain.tools.registry import ToolSpec
from infra.files.confined_files import ConfinedFiles
from infra.files.confined_root import PathRefused
from infra.git.command import GitCommand
from infra.store import trees
from infra.store.object_format import SUBMODULE_MODE


class EditArguments(HumanInput):
    """Change one file: create it, replace one exact and unique text, or insert after a line."""

    command: Literal["create", "str_replace", "insert"]
    path: RelativePath
    file_text: str | None = Field(default=None, description="create: the whole content.")
    old_str: str | None = Field(default=None, description="str_replace: text that occurs once.")
    new_str: str | None = Field(default=None, description="str_replace: what takes its place.")
    insert_line: int | None = Field(default=None, ge=0, description="insert: 0 is the top.")
    insert_text: str | None = Field(default=None, description="insert: the text.")


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
    worktree, path = context.worktree, plain_path(arguments.path)
    owner = (worktree.uid, worktree.uid) if worktree.uid is not None else None
    try:
        with ConfinedFiles(worktree.path, owner=owner) as editor:
            before = editor.read(arguments.path)
            data = before.data if before else None
            decided = _decide(arguments, data, context.seen.get(path))
            if isinstance(decided, edit.Refused):
                return failed(decided.message)
            written = editor.write(arguments.path, decided.after)
    except PathRefused as error:
        return failed(f"Error: {error}")
    _remember(context, path, data, decided.after)
    done = f"Done: {path} ({decided.match_kind})."
    problems = new_problems(path, data, decided.after)
    warned = undeclared_paths.edited(context, path)
    text = "\n".join(filter(None, [done, decided.note, decided.diff, *problems, warned]))
    if unrecorded := await _unrecorded(context, path):
        return ToolOutput(f"{text}\n{path} {unrecorded}, so it will not be part of the patch.")
    mode = "100755" if written.mode & 0o100 else "100644"
    checkpoint = await _checkpoint(context, path, mode, decided.after)
    return ToolOutput(text, checkpoint=checkpoint)


def _decide(
    arguments: EditArguments, before: bytes | None, known: str | None
) -> edit.Edited | edit.Refused:
    path = arguments.path
    match arguments.command:
        case "create":
            if arguments.file_text is None:
                return _incomplete("create", "file_text")
            return edit.create(before, arguments.file_text, seen=known, path=path)
        case "str_replace":
            if arguments.old_str is None or arguments.new_str is None:
                return _incomplete("str_replace", "old_str and new_str")
            return edit.str_replace(
                before, arguments.old_str, arguments.new_str, path=path, seen=known
            )
        case "insert":
            if arguments.insert_line is None or arguments.insert_text is None:
                return _incomplete("insert", "insert_line and insert_text")
            line, text = arguments.insert_line, arguments.insert_text
            return edit.insert(before, line, text, seen=known, path=path)


def _remember(context: ToolContext, path: str, before: bytes | None, after: bytes) -> None:
    """Note what the agent has seen of the new version: not what it had not seen of the old one."""
    known = context.seen.get(path)
    old = None if before is None else edit.digest(before)
    now = seen.edited(known, old, edit.digest(after))
    if now is not None:
        context.seen[path] = now


def _incomplete(command: str, missing: str) -> edit.Refused:
    example = json.dumps(_EXAMPLES[command])
    return edit.Refused(f"Error: {command} needs {missing}. Arguments that fit: {example}")


async def _unrecorded(context: ToolContext, path: str) -> str | None:
    """Return why a scan of the worktree would leave this file out, None when it records it."""
    store, commit, worktree = context.store, context.expected, context.worktree
    parts = path.split("/")
    for depth in range(1, len(parts)):
        folder = "/".join(parts[:depth])
        entry = await store.entry_at(commit, folder)
        linked = entry is not None and entry.mode == SUBMODULE_MODE
        if linked or _is_repository(worktree.path / folder):
            return f"is in another repository, {folder}"
    if await store.entry_at(commit, path) is not None:
        return None  # what is tracked already is recorded, ignored or not
    git = GitCommand(worktree.store / "worktrees" / worktree.name, work_tree=worktree.path)
    # With "./" in front no name can be read as anything but a name.
    words = ("check-ignore", "-q", "--no-index", "--", f"./{path}")
    found = await git(*words, ok=(0, 1), reads=True)
    return "is ignored by git" if found.code == 0 else None


def _is_repository(folder: Path) -> bool:
    return os.path.lexists(folder / ".git")


async def _checkpoint(context: ToolContext, path: str, mode: str, data: bytes) -> str:
    """Return a commit of the expected tree with this file; only what changed is written."""
    before = await context.store.get_commit(context.expected)
    changed = {path: (mode, context.batch.blob(data))}
    tree = await trees.with_paths(context.store, before.tree, changed, batch=context.batch)
    if tree == before.tree:
        return context.expected
    return context.batch.commit(
        tree, (context.expected,), f"edit: {path}", when=before.author_seconds + 1
    )


TOOL = Tool(
    ToolSpec(
        name="edit",
        description="Change one file. create writes a new file; str_replace replaces one text that "
        "occurs exactly once; insert puts text after a line. View a file before you change it.",
        arguments=EditArguments,
        effect=Effect.WRITE,
        retry=RetryClass.JOURNALED,
        approval=ApprovalClass.PATH,
        subject="path",
        example=_EXAMPLES["str_replace"],
    ),
    execute,
)
