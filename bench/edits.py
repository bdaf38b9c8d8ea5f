"""How long edits take in a worktree: one replacement, and a patch of fifty hunks."""

import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from activities.memory import AgentMemories
from activities.tools import apply_patch, edit
from activities.tools.tool import ToolContext, ToolOutput
from bench.deployment import folder
from bench.figures import Figure, Name
from contracts.permissions import RequestPermissions
from contracts.tools import ToolOutcome
from domain.policy.judge import Policy
from domain.policy.tools import BUILT_IN
from infra.commands import CommandRunner
from infra.git.command import GitCommand
from infra.sandbox import Sandbox
from infra.store import Store, TreeEntry
from infra.worktrees.handle import WorktreeHandle
from infra.worktrees.pool import WorktreePool
from infra.worktrees.users import first_user

_HUNKS = 50
_FUNCTIONS = 500
_EDITS, _PATCHES = 200, 40
_SMALL, _LARGE = "notes.txt", "module.py"

Call = Callable[[], Awaitable[ToolOutput]]
Calls = Callable[[ToolContext, int], Call]
"""Prepares the call that takes a file from a version to the next."""


def _module(version: int) -> list[str]:
    """Return a module of a thousand lines, of which fifty tell its version."""
    lines: list[str] = []
    for number in range(_FUNCTIONS):
        told = f" + {version}" if number % (_FUNCTIONS // _HUNKS) == 0 else ""
        lines += [f"def scaled_{number}(a, b):", f"    return a * b + {number}{told}"]
    return lines


def _patch(version: int) -> str:
    """Return the unified diff from a version of the module to the next."""
    before, after = _module(version), _module(version + 1)
    parts = [f"--- a/{_LARGE}", f"+++ b/{_LARGE}"]
    for at, line in enumerate(before):
        if line == after[at]:
            continue
        behind = before[at + 1 : at + 3]
        count = 2 + len(behind)
        parts.append(f"@@ -{at},{count} +{at},{count} @@")
        parts += [
            f" {before[at - 1]}",
            f"-{line}",
            f"+{after[at]}",
            *(f" {each}" for each in behind),
        ]
    return "\n".join(parts) + "\n"


def _edit(context: ToolContext, version: int) -> Call:
    async def call() -> ToolOutput:
        arguments = edit.EditArguments(
            command="str_replace",
            path=_SMALL,
            old_str=f"step {version}\n",
            new_str=f"step {version + 1}\n",
        )
        return await edit.execute(context, arguments)

    return call


def _fifty(context: ToolContext, version: int) -> Call:
    text = _patch(version)

    async def call() -> ToolOutput:
        return await apply_patch.execute(context, apply_patch.PatchArguments(patch=text))

    return call


async def measure() -> list[Figure]:
    """Return milliseconds, medians; the baselines write the same files and read them again."""
    with folder() as place:
        async with _opened(place) as (store, worktree, commit):
            context = _context(store, worktree, commit)
            small = await _median(context, _edit, _EDITS, _SMALL)
            large = await _median(context, _fifty, _PATCHES, _LARGE)
    return [Figure(Name.EDIT_P50, *small), Figure(Name.PATCH_P50, *large)]


async def _median(
    context: ToolContext, calls: Calls, times: int, path: str
) -> tuple[float, str, float]:
    """Return the median of calls, each on what the one before made, and that of plain writes."""
    taken, plain = [], []
    for version in range(times):
        call = calls(context, version)
        began = time.perf_counter()
        made = await call()
        taken.append((time.perf_counter() - began) * 1_000)
        if made.outcome is not ToolOutcome.DONE or made.checkpoint is None:
            raise SystemExit(made.text)
        await context.batch.write()
        context = _context(context.store, context.worktree, made.checkpoint, context)
        plain.append(_written(context.worktree.path / path))
    return statistics.median(taken), "ms", statistics.median(plain)


def _written(path: Path) -> float:
    """Return for how many milliseconds a file is read, written beside itself and renamed."""
    began = time.perf_counter()
    data = path.read_bytes()
    other = path.with_name(".plain")
    other.write_bytes(data)
    other.rename(path)
    path.read_bytes()
    return (time.perf_counter() - began) * 1_000


def _context(
    store: Store, worktree: WorktreeHandle, commit: str, before: ToolContext | None = None
) -> ToolContext:
    memories = AgentMemories(
        store=store,
        repository_key="bench",
        request_key="bench",
        task="bench",
        agent="bench",
        expected=commit,
        redact=str,
        recall=worktree.path.parent / "recall",
    )
    return ToolContext(
        worktree=worktree,
        store=store,
        seen=before.seen if before else {},
        batch=store.batch(),
        expected=commit,
        environment="",
        commands=CommandRunner(Sandbox(), hide=()),
        memories=memories,
        policy=Policy(RequestPermissions(), BUILT_IN),
    )


@asynccontextmanager
async def _opened(place: Path) -> AsyncIterator[tuple[Store, WorktreeHandle, str]]:
    """Open a worktree of a store with the two files."""
    path = place / "store"
    await GitCommand(path.parent)("init", "-q", "--bare", str(path))
    store = Store(path)
    try:
        batch = store.batch()
        small = batch.blob(("step 0\n" + "a line\n" * 200).encode())
        large = batch.blob(("\n".join(_module(0)) + "\n").encode())
        rows = (TreeEntry("100644", _SMALL, small), TreeEntry("100644", _LARGE, large))
        commit = batch.commit(batch.tree(rows), (), "begin\n", when=1_700_000_000)
        await batch.write()
        pool = WorktreePool(store, place / "pool", host_id="bench", uid_base=first_user(place))
        pool.open()
        record = await pool.lease("bench", commit)
        async with pool.open_worktree(record.name, record.epoch, commit) as worktree:
            worktree.begin("bench")
            yield store, worktree, commit
    finally:
        await store.close()
