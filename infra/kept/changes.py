"""What a request or one of its tasks has changed: two commits of the store, and their diff."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from contracts import roles
from contracts.repository import RepositoryOpened
from contracts.spending import AgentOpened
from domain import ids
from infra.kept.agents import new_turns
from infra.store import Store, diffs
from infra.store.merges import contains

_ROUND = re.compile(r"\d+$")


@dataclass(frozen=True)
class Change:
    """A change between two commits of a store; `what` says in words what it is."""

    store: Store
    before: str
    after: str
    what: str

    async def text(self, limit_bytes: int) -> tuple[str, bool]:
        """Return the unified diff and whether it was cut; no program of a repository is run."""
        return await diffs.patch_text(self.store, self.before, self.after, limit_bytes)

    async def diffstat(self) -> str:
        """Return git's diffstat, "" when nothing differs."""
        return await diffs.diffstat(self.store, self.before, self.after)


async def request_change(store: Store, opened: RepositoryOpened) -> Change:
    """Return what has landed of a request."""
    tip = store.ref(ids.target_ref(opened.repository.target)) or opened.base
    return Change(store, opened.base, tip, "what has landed")


async def task_change(
    store: Store,
    opened: RepositoryOpened,
    task: str,
    agents: Sequence[AgentOpened],
    *,
    patched: bool,
) -> Change | None:
    """Return the change of a task: its last patch, or the last state of its worktree."""
    key = opened.repository.request_key
    patch = await _last(store, ids.patch_ref(key, task, 0))
    if not patched or patch is None:
        tip = (await request_change(store, opened)).after
        checkpoint = await _worktree(store, key, task, agents)
        if checkpoint is not None:
            found = await store.run("merge-base", checkpoint, tip, ok=(0, 1), reads=True)
            before = found.text or opened.base
            return Change(store, before, checkpoint, "the last state of its worktree")
    if patch is None:
        return None
    number, commit = patch
    # A patch without a change is its base itself.
    same = commit in await _bases(store, key, task, agents)
    before = commit if same else (await store.get_commit(commit)).parents[0]
    return Change(store, before, commit, f"its patch of round {number + 1}")


async def last_state(
    store: Store, key: str, task: str, agents: Sequence[AgentOpened]
) -> tuple[str | None, int]:
    """Return the last commit of a task's work, and how many numbers of patches are taken."""
    patch = await _last(store, ids.patch_ref(key, task, 0))
    rebased = await _last(store, ids.rebase_ref(key, task, 0))
    taken = max((found[0] + 1 for found in (patch, rebased) if found), default=0)
    commit = await _worktree(store, key, task, agents) or (patch[1] if patch else None)
    return commit, taken


async def landed(store: Store, key: str, task: str, target: str) -> str | None:
    """Return the commit of a target that brought a task's last patch; None when none did."""
    patch = await _last(store, ids.patch_ref(key, task, 0))
    base, tip = store.ref(ids.base_ref(key)), store.ref(ids.target_ref(target))
    if patch is None or base is None or tip is None:
        return None
    # A patch without a change is its base itself.
    if await contains(store, base, patch[1]) or not await contains(store, tip, patch[1]):
        return None
    words = ("rev-list", "--first-parent", "--reverse", f"{base}..{tip}")
    for commit in (await store.run(*words, reads=True)).text.split():
        if await contains(store, commit, patch[1]):
            return commit
    return tip


async def _bases(store: Store, key: str, task: str, agents: Sequence[AgentOpened]) -> set[str]:
    """Return the commits on which a task has worked."""
    owners = {agent.agent.rpartition("/")[0] for agent in agents}
    leased = {ids.lease_ref(key, owner, ids.purpose(roles.CODER, 1)) for owner in owners}
    tips = await store.refs(ids.rebase_tip_ref(key, task, 0).rpartition("/")[0])
    return {*tips.values(), *(at for ref in leased if (at := store.ref(ref)))}


async def _worktree(store: Store, key: str, task: str, agents: Sequence[AgentOpened]) -> str | None:
    """Return the newest commit of a task's worktree; None when it has changed nothing."""
    checkpoint = None
    for agent in agents:
        if agent.role == roles.CODER:
            checkpoint = await _checkpoint(store, key, task, agent) or checkpoint
    rebased = await _last(store, ids.rebase_ref(key, task, 0))
    if rebased is None or checkpoint is None:
        return checkpoint
    # A patch that was put on what has landed is newer than all that it does not precede.
    words = ("merge-base", "--is-ancestor", rebased[1], checkpoint)
    # 128: one of the two is damaged; what was put on the other work can be taken all the same.
    went_on = (await store.run(*words, ok=(0, 1, 128), reads=True)).code == 0
    return checkpoint if went_on else rebased[1]


async def _checkpoint(store: Store, key: str, task: str, agent: AgentOpened) -> str | None:
    """Return the checkpoint of the last call of an agent that has one."""
    known = set(agent.not_its_own)
    for turn in reversed(await new_turns(store, agent.conversation, known)):
        for use in reversed(turn.turn.tool_uses):
            call = ids.call_id(agent.conversation, use.id)
            if checkpoint := store.ref(ids.checkpoint_ref(key, task, call)):
                return checkpoint
    return agent.continues.checkpoint if agent.continues else None


async def _last(store: Store, ref: str) -> tuple[int, str] | None:
    """Return the last round that stands beside a ref of round 0, and its commit."""
    found = await store.refs(ref.rpartition("/")[0])
    rounds = {int(name[0]): oid for ref, oid in found.items() if (name := _ROUND.search(ref))}
    return max(rounds.items()) if rounds else None
