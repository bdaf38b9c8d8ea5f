"""The doubles keep what their ports promise: else the workflow tests would prove nothing."""

import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.policy import CurrentPolicy
from contracts.merge_queue import BuildChain, LandChain
from contracts.model import ModelCall
from contracts.ports import PORTS
from contracts.store import ConversationRef
from contracts.tools import CoderFinish, ToolCall
from contracts.worktrees import LeaseWorktree, ReleaseWorktree
from tests.fakes import BASE, MemoryPatches, finishes, oid, says
from tests.workflows.world import WorkflowEnv

pytestmark = pytest.mark.system


@pytest.fixture(name="world")
def _world(client: Client) -> WorkflowEnv:
    """A world in which a coder has two things to say."""
    return WorkflowEnv(client, {"coder/x": [says("Hm."), finishes(CoderFinish(summary="done"))]})


def test_every_port(world: WorkflowEnv) -> None:
    """There is one double for each port, with every method under the port's own name."""
    doubles = [
        *(world.model, world.repositories, world.worktrees, world.tools),
        *(world.checks, world.patches, world.queues, world.disk, CurrentPolicy()),
    ]
    for port in PORTS:
        (double,) = [each for each in doubles if isinstance(each, port)]
        for name in port.__abstractmethods__:
            definition = activity._Definition.from_callable(getattr(double, name))
            assert definition is not None
            assert definition.name == name


def _call(world: WorkflowEnv, conversation: ConversationRef, **changes: object) -> ModelCall:
    call = ModelCall(
        repository=world.repository,
        conversation=conversation,
        agent="role=coder; task=x; attempt=1; agent=a; request=r",
    )
    return call.model_copy(update=changes)


async def test_model(world: WorkflowEnv) -> None:
    """The model plays its script in order, gives the same call the same reply, then fails."""
    run = ActivityEnvironment().run
    start = ConversationRef(id="c", head=BASE)
    first = await run(world.model.call_model, _call(world, start))
    again = await run(world.model.call_model, _call(world, start))
    second = await run(world.model.call_model, _call(world, first.conversation))
    with pytest.raises(ApplicationError, match="no reply is scripted"):
        await run(world.model.call_model, _call(world, second.conversation))

    assert first == again
    assert (first.stop_reason, first.says) == ("end_turn", "Hm.")
    assert (second.stop_reason, second.conversation.turns) == ("tool_use", 2)
    assert second.finish is not None
    assert world.model.left() == 0


async def test_hands(world: WorkflowEnv) -> None:
    """A write makes a checkpoint that follows from the call alone, so a repeat makes the same."""
    call = ToolCall(
        repository=world.repository,
        lease=world.lease,
        task_ref="x",
        call_id="1",
        tool="edit",
        expected=BASE,
        arguments=oid("arguments"),
    )
    run = ActivityEnvironment().run
    once, twice = [await run(world.tools.apply_edit, call) for _ in range(2)]
    other = await run(world.tools.run_command, call.model_copy(update={"call_id": "2"}))

    assert once == twice
    assert once.checkpoint not in {None, BASE, other.checkpoint}


async def test_leases(world: WorkflowEnv) -> None:
    """The same owner and purpose get the same lease; an old lease frees nothing."""
    run = ActivityEnvironment().run
    asks = LeaseWorktree(repository=world.repository, owner="w", purpose="p", commit=BASE)
    first = await run(world.worktrees.lease_worktree, asks)
    same = await run(world.worktrees.lease_worktree, asks)
    free = ReleaseWorktree(repository=world.repository, lease=first)
    await run(world.worktrees.release_worktree, free)
    second = await run(world.worktrees.lease_worktree, asks)
    await run(world.worktrees.release_worktree, free)

    assert first == same
    assert second.epoch > first.epoch
    assert list(world.worktrees.open.values()) == [second]


async def test_target(world: WorkflowEnv) -> None:
    """A chain lands by compare-and-swap: only on the tip that it was built on, and once."""
    patches = MemoryPatches()
    run = ActivityEnvironment().run
    build = BuildChain(repository=world.repository, patches=(("a", oid("a")), ("b", oid("b"))))
    chain = await run(patches.build_chain, build)
    last = chain.links[-1].commit or ""
    land = LandChain(repository=world.repository, tip=chain.tip, candidate=last, titles=("a", "b"))
    landed = [await run(patches.land_chain, land) for _ in range(2)]
    stale = await run(patches.land_chain, land.model_copy(update={"candidate": oid("other")}))

    assert patches.holds(last) == ("a", "b")
    assert [each.commit for each in landed] == [last, last]
    assert patches.landings == [("a", "b")]
    assert stale.commit is None


async def test_conflicts(world: WorkflowEnv) -> None:
    """A patch conflicts with its neighbour while that waits, with the tip once it has landed."""
    patches = MemoryPatches()
    patches.clashes.add(frozenset({"a", "b"}))
    run = ActivityEnvironment().run
    build = BuildChain(repository=world.repository, patches=(("a", oid("a")), ("b", oid("b"))))
    chain = await run(patches.build_chain, build)
    land = LandChain(
        repository=world.repository,
        tip=chain.tip,
        candidate=chain.links[0].commit or "",
        titles=("a",),
    )
    await run(patches.land_chain, land)
    after = await run(patches.build_chain, build.model_copy(update={"patches": build.patches[1:]}))

    assert (chain.links[1].commit, chain.links[1].with_tip) == (None, False)
    assert (after.links[0].commit, after.links[0].with_tip) == (None, True)
