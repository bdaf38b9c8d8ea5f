"""A setup for which lock files have to change first, by a command of a package manager.

Each runs on a clean checkout. What the command writes beside lock files and manifests is not kept.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from activities.setup_run import SetupRun, bounded
from activities.wanted_setup import setup_digest
from contracts.base import ObjectId
from contracts.setup import SetupReport
from domain.lock_updates import is_stated
from domain.setup import layer_name
from domain.text import listing
from infra.files.confined_files import ConfinedFiles, FileState
from infra.files.confined_root import PathRefused
from infra.store import Store, trees
from infra.tree_environment import stated_at
from infra.worktrees.handle import WorktreeHandle


async def set_up_after_update(run: SetupRun) -> SetupReport:
    """Run the update, then the setup of what it has written; return what both came to."""
    async with run.checkout() as worktree:
        result, output = await run.command(worktree, run.request.setup.update)
        if not result.passed:
            log = await run.keep_log([output])
            return SetupReport(environment=None, results=(result,), log=log)
        left = await worktree.leftovers()
        paths = [path for path in (*left.changed, *left.others) if is_stated(path)]
        others = sorted({path for path in left.changed if not is_stated(path)})
        written, refused = await asyncio.to_thread(_read, worktree, paths)
    changed = {path: await run.store.put_blob(state.data) for path, state in written.items()}
    report = await _installed(run, written, changed)
    logs = [output, *([await _text(run.store, report.log)] if report.log else [])]
    notes = [f"The update changed {listing(tuple(others))}: not kept."] if others else []
    return report.model_copy(
        update={
            "results": (result, *report.results),
            "notes": bounded((*report.notes, *notes, *refused)),
            "log": await run.keep_log(logs),
            "changed": changed if report.environment else {},
        }
    )


def _read(
    worktree: WorktreeHandle, paths: Sequence[str]
) -> tuple[dict[str, FileState], tuple[str, ...]]:
    """Return what the update wrote, and sentences about what cannot be taken over."""
    found, refused = dict[str, FileState](), list[str]()
    with ConfinedFiles(worktree.path) as files:
        for path in paths:
            try:
                state = files.read(path)
            except PathRefused as error:
                refused.append(f"Not kept: {error}")
                continue
            if state is not None:
                found[path] = state
    return found, tuple(refused)


async def _installed(
    run: SetupRun, written: dict[str, FileState], changed: dict[str, ObjectId]
) -> SetupReport:
    """Install what the tree with the changed files needs, where it is not there."""
    request, store = run.request, run.store
    entries = {
        path: ("100755" if state.mode & 0o100 else "100644", changed[path])
        for path, state in written.items()
    }
    before = await store.get_commit(request.commit)
    tree = await trees.with_paths(store, before.tree, entries)
    when = before.author_seconds + 1
    commit = await store.put_commit(tree, (request.commit,), "update lock files", when=when)
    rule = request.setup.rule
    stated = await stated_at(store, rule, commit)
    name = layer_name(rule.commands, stated, rule.host)
    base = run.environment.setup
    if base is not None and name == base.layer:
        return SetupReport(environment=request.repository.environment)
    rule = rule.model_copy(update={"stated": stated, "layer": name})
    setup = request.setup.model_copy(update={"rule": rule, "layer": name, "update": ""})
    after = replace(run, request=request.model_copy(update={"commit": commit, "setup": setup}))
    report = await after.report()
    if report.environment:
        # Who allowed the update allowed what it writes: no later request asks about it.
        asked = setup_digest(rule.commands, stated)
        await asyncio.to_thread(
            run.layers.remember, asked, allowed=True, by=request.by, commands=rule.commands
        )
    return report


async def _text(store: Store, oid: ObjectId) -> str:
    return (await store.get_blob(oid)).decode("utf-8", "replace")
