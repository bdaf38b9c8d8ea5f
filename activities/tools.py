"""
An agent's hands: view, search, edit and run in its worktree, each call a transaction.

A call is journaled under its id before it is told, fenced by the worktree's epoch, and starts from
the expected checkpoint whatever an earlier attempt left behind.
"""

import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from temporalio import activity
from typing_extensions import override

from activities.failures import translated_failures
from contracts.ports import ToolActivities
from contracts.tools import (
    EditArguments,
    ReadCall,
    ReadResults,
    RunCommandArguments,
    SearchArguments,
    ToolCall,
    ToolName,
    ToolOutcome,
    ToolResult,
    ViewArguments,
)
from domain import ids
from domain.editing import edit
from domain.text import one_line
from infra.commands import CommandRunner, undo
from infra.disk_space import is_disk_full
from infra.files.confined_files import ConfinedFiles, PathRefused
from infra.files.search import search
from infra.git.command import GitCommand
from infra.store import Batch, RefUpdate, Store, journal
from infra.store.open_stores import Stores
from infra.worktrees.open_pools import Pools
from infra.worktrees.pool import WorktreeHandle

Seen = dict[str, str]
"""sha256 of each file as the agent knows it, by path."""


@dataclass
class ToolOutput:
    """
    What one call did.

    Attributes:
        text: for the model.
        checkpoint: the worktree's new state, None when it did not change.
        attachments: object ids kept with the journal entry, by name.
    """

    text: str
    outcome: ToolOutcome = ToolOutcome.DONE
    checkpoint: str | None = None
    attachments: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ToolContext:
    """
    What a call works with: a worktree, the store, what the agent has seen, and what will be kept.
    """

    place: WorktreeHandle
    store: Store
    seen: Seen
    batch: Batch


Execute = Callable[[ToolContext], Awaitable[ToolOutput]]


class WorktreeTools(ToolActivities):
    """Tool calls on this host's worktrees."""

    def __init__(self, stores: Stores, pools: Pools, runner: CommandRunner) -> None:
        self._stores = stores
        self._pools = pools
        self._runner = runner

    @override
    @activity.defn
    async def read_files(self, request: ReadCall) -> ReadResults:
        """
        Answer the read-only calls of one turn.

        Safe to repeat: it changes nothing but the record of what the agent has seen.
        """
        store = await self._stores.get(request.repository.key)
        pool = await self._pools.get(request.repository.key)
        seen = await _load(store, request.seen)
        batch = store.batch()
        results: list[ToolResult] = []
        async with (
            translated_failures(),
            pool.enter(
                request.lease.worktree, request.lease.epoch, request.expected, write=False
            ) as place,
        ):
            for call_id, tool, arguments in request.calls:
                data = await store.get_blob(arguments)
                outcome = await _read(place, tool, data, seen)
                results.append(_result(batch, call_id, outcome))
        known = _save(batch, seen, request.seen)
        await batch.write()
        return ReadResults(results=tuple(results), seen=known)

    @override
    @activity.defn
    async def apply_edit(self, request: ToolCall) -> ToolResult:
        """
        Change one file and checkpoint the worktree.

        Safe to repeat: a finished call is found in the journal, an unfinished one is undone first.
        """

        async def act(context: ToolContext) -> ToolOutput:
            data = await context.store.get_blob(request.arguments)
            return await _edit(context, request, EditArguments.model_validate_json(data))

        return await self._transact(request, act)

    @override
    @activity.defn
    async def run_command(self, request: ToolCall) -> ToolResult:
        """
        Run one command in the sandbox and checkpoint the worktree.

        Safe to repeat: a finished call is found in the journal, an unfinished one is undone first.
        """

        async def act(context: ToolContext) -> ToolOutput:
            data = await context.store.get_blob(request.arguments)
            return await self._run(context, request, RunCommandArguments.model_validate_json(data))

        return await self._transact(request, act)

    async def _transact(self, request: ToolCall, act: Execute) -> ToolResult:
        """Do a call once: recorded outcome, or fence, restore, act, checkpoint, journal."""
        store = await self._stores.get(request.repository.key)
        pool = await self._pools.get(request.repository.key)
        ref = ids.call_ref(request.repository.request_key, request.task_ref, request.call_id)
        async with translated_failures():
            found = await journal.recorded(store, ref)
            if found is not None:
                return ToolResult.model_validate_json(found)
            lease = request.lease
            async with pool.enter(lease.worktree, lease.epoch, request.expected) as place:
                # Another attempt may have ended while this one waited for the worktree.
                found = await journal.recorded(store, ref)
                if found is not None:
                    return ToolResult.model_validate_json(found)
                return await self._act(request, act, store, place=place, ref=ref)

    async def _act(
        self, request: ToolCall, act: Execute, store: Store, *, place: WorktreeHandle, ref: str
    ) -> ToolResult:
        context = ToolContext(place, store, await _load(store, request.seen), store.batch())
        place.begin(request.call_id)
        try:
            outcome = await act(context)
        except Exception as error:
            if is_disk_full(error):
                await place.clear()
            raise
        checkpoint = outcome.checkpoint or request.expected
        result = _result(context.batch, request.call_id, outcome).model_copy(
            update={
                "checkpoint": checkpoint,
                "seen": _save(context.batch, context.seen, request.seen),
            }
        )
        attachments = {"output": result.output, **outcome.attachments}
        entry = journal.entry(context.batch, result.model_dump_json().encode(), attachments)
        await context.batch.write()
        names = (request.repository.request_key, request.task_ref, request.call_id)
        pin = RefUpdate(ids.checkpoint_ref(*names), checkpoint, None)
        await journal.settle(store, entry, ref, pin)
        await place.settle(checkpoint)
        return result

    async def _run(
        self, context: ToolContext, request: ToolCall, arguments: RunCommandArguments
    ) -> ToolOutput:
        place = context.place
        environment = await self._runner.environment(context.store, request.repository.environment)
        ran = await self._runner.run(
            place, arguments.command, environment, timeout_seconds=arguments.timeout_seconds
        )
        if ran.disk_full:
            await undo(place, request.expected)
            end = f"[{ran.ending}; it filled the disk, so all it wrote was undone]"
            text = f"{ran.text.rstrip()}\n{end}".lstrip("\n")
            log = context.batch.blob(ran.whole)
            return ToolOutput(text, ToolOutcome.FAILED, attachments={"log": log})
        message = f"run: {one_line(arguments.command)}"
        scan = await place.scan(request.expected, message)
        parts = [ran.text.rstrip("\n"), f"[{ran.ending}]"]
        if ran.outcome.hint:
            parts.append(f"[{ran.outcome.hint}]")
        if scan.skipped:
            parts.append(
                f"[not part of the checkpoint: nested repositories {', '.join(scan.skipped)}]"
            )
        outcome = ToolOutcome.DONE if ran.passed else ToolOutcome.FAILED
        return ToolOutput(
            text="\n".join(part for part in parts if part),
            outcome=ToolOutcome.TIMED_OUT if ran.outcome.timed_out else outcome,
            checkpoint=scan.commit,
            attachments={"log": context.batch.blob(ran.whole)},
        )


async def _read(place: WorktreeHandle, tool: ToolName, arguments: bytes, seen: Seen) -> ToolOutput:
    if tool is ToolName.SEARCH:
        text, found = await search(place, SearchArguments.model_validate_json(arguments))
        return ToolOutput(text, ToolOutcome.DONE if found else ToolOutcome.FAILED)
    try:
        return _view(place, ViewArguments.model_validate_json(arguments), seen)
    except PathRefused as error:
        return ToolOutput(f"Error: {error}", ToolOutcome.FAILED)


def _view(place: WorktreeHandle, arguments: ViewArguments, seen: Seen) -> ToolOutput:
    path = arguments.path.rstrip("/") or "."
    with ConfinedFiles(place.path) as editor:
        if path == "." or editor.is_folder(path):
            listing = editor.list_directory(path)
            return ToolOutput("\n".join(listing) or "(empty folder)")
        found = editor.read(path)
    if found is None:
        return ToolOutput(f"Error: File not found: {path}", ToolOutcome.FAILED)
    path = _plain(path)
    span = arguments.view_range
    viewed = edit.view(found.data, (span[0], span[1]) if span else None, path=path)
    if isinstance(viewed, edit.Refused):
        return ToolOutput(viewed.message, ToolOutcome.FAILED)
    seen[path] = viewed.sha256
    return ToolOutput(
        "\n".join(part for part in (viewed.text, viewed.note) if part) or "(empty file)"
    )


async def _edit(context: ToolContext, request: ToolCall, arguments: EditArguments) -> ToolOutput:
    problem = edit.path_problem(arguments.path)
    if problem:
        return ToolOutput(f"Error: {problem}", ToolOutcome.FAILED)
    place, path = context.place, _plain(arguments.path)
    owner = (place.uid, place.uid) if place.uid is not None else None
    try:
        with ConfinedFiles(place.path, owner=owner, synced=False) as editor:
            before = editor.read(arguments.path)
            data = before.data if before else None
            decided = _decide(arguments, data, context.seen.get(path))
            if isinstance(decided, edit.Refused):
                return ToolOutput(decided.message, ToolOutcome.FAILED)
            written = editor.write(arguments.path, decided.after, mode=None)
    except PathRefused as error:
        return ToolOutput(f"Error: {error}", ToolOutcome.FAILED)
    context.seen[path] = edit.digest(decided.after)
    text = "\n".join(
        part
        for part in (
            f"Done: {path} ({decided.rung}).",
            decided.note,
            decided.diff,
            *edit.new_problems(path, data, decided.after),
        )
        if part
    )
    if unrecorded := await _unrecorded(place, context.store, request.expected, path):
        return ToolOutput(f"{text}\n{path} {unrecorded}, so it will not be part of the patch.")
    mode = "100755" if written.mode & 0o100 else "100644"
    checkpoint = await _checkpoint(context, request, path, mode, decided.after)
    return ToolOutput(text, checkpoint=checkpoint)


def _decide(
    arguments: EditArguments, before: bytes | None, seen_sha: str | None
) -> edit.Edited | edit.Refused:
    path = arguments.path
    match arguments.command:
        case "create":
            if arguments.file_text is None:
                return edit.Refused("Error: create needs file_text.")
            return edit.create(before, arguments.file_text, seen_sha=seen_sha, path=path)
        case "str_replace":
            if arguments.old_str is None or arguments.new_str is None:
                return edit.Refused("Error: str_replace needs old_str and new_str.")
            return edit.str_replace(
                before, arguments.old_str, arguments.new_str, path=path, seen_sha=seen_sha
            )
        case "insert":
            if arguments.insert_line is None or arguments.insert_text is None:
                return edit.Refused("Error: insert needs insert_line and insert_text.")
            return edit.insert(
                before,
                arguments.insert_line,
                arguments.insert_text,
                seen_sha=seen_sha,
                path=path,
            )


def _plain(path: str) -> str:
    """Return a path in the one form in which trees name it and the record of viewed files does."""
    return "/".join(part for part in path.split("/") if part not in {"", "."})


def _is_repository(folder: Path) -> bool:
    return os.path.lexists(folder / ".git")


async def _unrecorded(place: WorktreeHandle, store: Store, commit: str, path: str) -> str | None:
    """Return why a scan of the worktree would leave this file out, None when it records it."""
    parts = path.split("/")
    for depth in range(1, len(parts)):
        folder = "/".join(parts[:depth])
        entry = await store.entry_at(commit, folder)
        linked = entry is not None and entry.mode == "160000"
        if linked or _is_repository(place.path / folder):
            return f"is in another repository, {folder}"
    if await store.entry_at(commit, path) is not None:
        return None  # what is tracked already is recorded, ignored or not
    git = GitCommand(place.store / "worktrees" / place.name, work_tree=place.path)
    # With "./" in front no name can be read as anything but a name.
    words = ("check-ignore", "-q", "--no-index", "--", f"./{path}")
    found = await git(*words, ok=(0, 1), reads=True)
    return "is ignored by git" if found.code == 0 else None


async def _checkpoint(
    context: ToolContext, request: ToolCall, path: str, mode: str, data: bytes
) -> str:
    """
    Return a commit whose tree is the expected one with this file: only what changed is written.
    """
    before = await context.store.get_commit(request.expected)
    changed = {path: (mode, context.batch.blob(data))}
    tree = await context.store.with_paths(before.tree, changed, batch=context.batch)
    if tree == before.tree:
        return request.expected
    return context.batch.commit(
        tree, (request.expected,), f"edit: {path}", when=before.author_seconds + 1
    )


def _result(batch: Batch, call_id: str, outcome: ToolOutput) -> ToolResult:
    return ToolResult(
        call_id=call_id,
        outcome=outcome.outcome,
        output=batch.blob(outcome.text.encode("utf-8", "replace")),
        preview=one_line(outcome.text, 80),
    )


async def _load(store: Store, oid: str | None) -> Seen:
    if oid is None:
        return {}
    loaded: Seen = json.loads(await store.get_blob(oid))
    return loaded


def _save(batch: Batch, seen: Seen, before: str | None) -> str | None:
    if not seen:
        return before
    return batch.blob(json.dumps(seen, sort_keys=True).encode())
