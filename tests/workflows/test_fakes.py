"""The fakes keep what their ports promise: else neither simulator nor workflow tests prove much."""

import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from contracts.failures import FailureKind
from contracts.merge_queue import BuildChain, LandChain
from contracts.model import ModelCall
from contracts.ports import PORTS
from contracts.store import ConversationRef
from contracts.tools import CoderFinish, ToolCall
from contracts.worktrees import LeaseWorktree, ReleaseWorktree
from tests.fakes.model import finishes, says
from tests.fakes.store import BASE
from tests.workflows.workflow_env import WorkflowEnv

pytestmark = pytest.mark.system


@pytest.fixture(name="env")
def _env(client: Client) -> WorkflowEnv:
    """An environment in which a coder has two replies."""
    return WorkflowEnv(client, {"coder/x": [says("Hm."), finishes(CoderFinish(summary="done"))]})


def test_every_port_has_one_fake_with_all_its_activities(env: WorkflowEnv) -> None:
    """There is one fake for each port, with every method under the port's own name."""
    for port in PORTS:
        for name in port.__abstractmethods__:
            definition = activity._Definition.from_callable(getattr(env.of(port), name))
            assert definition is not None
            assert definition.name == name


def _call(env: WorkflowEnv, conversation: ConversationRef, **changes: object) -> ModelCall:
    call = ModelCall(
        repository=env.repository,
        conversation=conversation,
        agent="role=coder; task=x; attempt=1; agent=a; request=r",
    )
    return call.model_copy(update=changes)


async def test_the_model_plays_its_script_and_repeats_a_repeated_call(env: WorkflowEnv) -> None:
    """The model plays its script in order, gives the same call the same reply, then fails."""
    run = ActivityEnvironment().run
    start = ConversationRef(id="c", head=BASE)
    first = await run(env.model.call_model, _call(env, start))
    again = await run(env.model.call_model, _call(env, start))
    second = await run(env.model.call_model, _call(env, first.conversation))
    with pytest.raises(ApplicationError, match="no reply is scripted"):
        await run(env.model.call_model, _call(env, second.conversation))

    assert first == again
    assert (first.stop_reason, first.says) == ("end_turn", "Hm.")
    assert (second.stop_reason, second.conversation.turns) == ("tool_use", 2)
    assert second.finish is not None
    assert env.replies.left() == 0


async def test_a_repeated_write_returns_what_was_recorded(env: WorkflowEnv) -> None:
    """A write has its effect once for each call id, and none with a lease that is over."""
    change = env.store.blob('{"path": "a", "content": "b"}')
    call = ToolCall(
        repository=env.repository,
        lease=env.lease,
        task_ref="x",
        call_id="1",
        tool="edit",
        expected=BASE,
        arguments=change,
    )
    run = ActivityEnvironment().run
    once, twice = [await run(env.tools.apply_edit, call) for _ in range(2)]
    env.store.release(env.lease.worktree, env.lease.epoch)
    with pytest.raises(ApplicationError) as fenced:
        await run(env.tools.run_command, call.model_copy(update={"call_id": "2"}))

    assert once == twice
    assert env.store.tree(once.checkpoint or "")["a"] == "b"
    assert len(env.tool_calls) == 1
    assert fenced.value.type == FailureKind.FENCED


async def test_a_holder_keeps_its_lease_and_an_old_lease_frees_nothing(env: WorkflowEnv) -> None:
    """The same owner and purpose get the same lease; an old lease frees nothing."""
    run = ActivityEnvironment().run
    asks = LeaseWorktree(repository=env.repository, owner="w", purpose="p", commit=BASE)
    first = await run(env.worktrees.lease_worktree, asks)
    same = await run(env.worktrees.lease_worktree, asks)
    free = ReleaseWorktree(repository=env.repository, lease=first)
    await run(env.worktrees.release_worktree, free)
    second = await run(env.worktrees.lease_worktree, asks)
    await run(env.worktrees.release_worktree, free)

    assert first == same
    assert second.epoch > first.epoch
    ((holder, held),) = env.store.leases.items()
    assert (holder, held.epoch) == ("w to p", second.epoch)


def _two_patches(env: WorkflowEnv, *paths: str) -> BuildChain:
    store, base = env.store, env.store.tree(BASE)
    commits = [
        store.commit({**base, path: name}, BASE, note=name)
        for name, path in zip("ab", paths, strict=True)
    ]
    return BuildChain(repository=env.repository, patches=tuple(zip("ab", commits, strict=True)))


async def test_a_chain_lands_once_by_compare_and_swap(env: WorkflowEnv) -> None:
    """A chain lands by compare-and-swap: only on the tip that it was built on, and once."""
    patches, run = env.patches, ActivityEnvironment().run
    build = _two_patches(env, "a", "b")
    chain = await run(patches.build_chain, build)
    last = chain.links[-1].commit or ""
    land = LandChain(repository=env.repository, tip=chain.tip, candidate=last, titles=("a", "b"))
    landed = [await run(patches.land_chain, land) for _ in range(2)]
    stale = build.patches[1][1]
    other = await run(patches.land_chain, land.model_copy(update={"candidate": stale}))

    assert env.written(last) == {"a", "b"}
    assert [each.commit for each in landed] == [env.tip, env.tip]
    assert env.store.tree(env.tip) == env.store.tree(last)
    assert env.landed == [("a", "b")]
    assert other.commit is None


async def test_a_patch_conflicts_with_its_neighbour_or_with_the_tip(env: WorkflowEnv) -> None:
    """A patch conflicts with its neighbour while that waits, with the tip once it has landed."""
    patches, run = env.patches, ActivityEnvironment().run
    build = _two_patches(env, "same", "same")
    chain = await run(patches.build_chain, build)
    land = LandChain(
        repository=env.repository,
        tip=chain.tip,
        candidate=chain.links[0].commit or "",
        titles=("a",),
    )
    await run(patches.land_chain, land)
    after = await run(patches.build_chain, build.model_copy(update={"patches": build.patches[1:]}))

    assert (chain.links[1].commit, chain.links[1].with_tip) == (None, False)
    assert (after.links[0].commit, after.links[0].with_tip) == (None, True)
