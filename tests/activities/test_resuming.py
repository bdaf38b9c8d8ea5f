"""What a further attempt at a request begins with, on a real store."""

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from contracts.approvals import Answered, Choice
from contracts.delivery import DeliverBranch
from contracts.endings import RequestEnding, TaskEnding
from contracts.failures import FailureKind
from contracts.planning import Plan, TaskSpec
from contracts.repository import CloseRequest, OpenRepository, RepositoryOpened
from contracts.request import RequestStatus
from contracts.resume import RequestResumed, ResumeRequest, Retry
from contracts.task import TaskState, TaskStatus
from contracts.visibility import RunState
from domain import ids
from infra.kept.request import KeptRequest
from tests.infra.bench import ENVIRONMENT, ActivityEnv, Job, person
from tests.local_deployment import git

ID = "request/one"
PLAN = Plan(
    summary="one",
    tasks=tuple(TaskSpec(id=name, title=name, goal=name, writes=(name,)) for name in ("a", "b")),
)


async def resumed(job: Job, attempt: int = 2, *tasks: str) -> RequestResumed:
    """Return what an attempt begins with."""
    order = ResumeRequest(
        repository=job.opened.repository,
        request_id=ID,
        retry=Retry(attempt=attempt, tasks=tasks),
    )
    found: RequestResumed = await ActivityEnvironment().run(
        job.env.repositories.resume_request, order
    )
    return found


async def end(job: Job, *rows: TaskStatus, **more: object) -> None:
    """Close a request as failed."""
    status = RequestStatus(
        id=ID,
        state=RunState.FAILED,
        reason="b failed",
        ending=RequestEnding.INCOMPLETE,
        tasks=rows,
        branch=job.opened.branch,
    ).model_copy(update=more)
    request = CloseRequest(
        repository=job.opened.repository,
        request_id=ID,
        branch=job.opened.branch,
        status=status.model_dump(mode="json"),
        plan=PLAN,
        approved=True,
    )
    await ActivityEnvironment().run(job.env.repositories.close_request, request)


def row(task: str, state: TaskState, ending: TaskEnding) -> TaskStatus:
    """Return a row of a task that ran."""
    workflow = ids.subtask_id(ID, task)
    return TaskStatus(
        id=task, title=task, state=state, ending=ending, workflow_id=workflow, reason="it was red"
    )


DONE = row("a", TaskState.DONE, TaskEnding.LANDED)
FAILED = row("b", TaskState.FAILED, TaskEnding.GIVEN_UP)


async def again(env: ActivityEnv, path: object = None, **changes: object) -> RepositoryOpened:
    """Open the repository for a retry."""
    asked = OpenRepository(
        request_id=ID,
        request_key="one",
        path=str(path or env.person),
        base=None,
        branch=None,
        suggested_branch="made",
        checks=(),
        environment=ENVIRONMENT,
        asked="{}",
        retried=True,
    ).model_copy(update=changes)
    opened: RepositoryOpened = await ActivityEnvironment().run(
        env.repositories.open_repository, asked
    )
    return opened


async def test_a_failed_task_goes_on_from_its_last_state(env: ActivityEnv) -> None:
    """Plan and done row stay; the failed one has its last patch, and the next free number."""
    job = await env.open(request=ID)
    patch = await job.patch(await job.changed({"b": "1\n"}), task="b", number=1)
    await end(job, DONE, FAILED)

    found = await resumed(job)
    assert (found.plan, found.approved) == (PLAN, True)
    done, failed = found.tasks
    assert done == DONE
    assert failed.workflow_id == "request/one/retry-2/task/b"
    assert failed.earlier is not None
    assert (failed.earlier.commit, failed.earlier.rounds) == (patch.commit, 3)
    assert found.planner == "request/one/retry-2"


async def test_a_task_whose_patch_landed_as_it_was_cancelled_is_done(env: ActivityEnv) -> None:
    """The target has it, by whatever commit, though nobody told the task any more; a patch without
    a change has not landed.
    """
    job = await env.open(request=ID)
    store, target = job.store, ids.target_ref(job.opened.repository.target)
    patch = await job.patch(await job.changed({"b": "1\n"}), task="b", number=1)
    await job.patch(job.base, task="a")
    other = await job.changed({"c": "1\n"})
    tree = (await store.get_commit(await job.changed({"b": "1\n", "c": "1\n"}))).tree
    merged = await store.put_commit(tree, (other, patch.commit), "merge", when=1_700_000_600)
    later = await store.put_commit(tree, (merged,), "later", when=1_700_000_700)
    await store.advance(target, later, job.base)
    cut = (row(task, TaskState.CANCELLED, TaskEnding.CANCELLED) for task in ("a", "b"))
    await end(job, *cut, state=RunState.CANCELLED)

    unchanged, landed = (await resumed(job)).tasks
    assert unchanged.state is TaskState.PENDING
    assert (landed.state, landed.commit) == (TaskState.DONE, merged)


async def test_what_an_attempt_began_with_stands(env: ActivityEnv) -> None:
    """Also once the attempt has ended, as when its server has lost the database since."""
    job = await env.open(request=ID)
    await end(job, DONE, FAILED)
    first = await resumed(job)
    await end(job, DONE, row("b", TaskState.DONE, TaskEnding.LANDED), attempt=2)
    assert await resumed(job) == first


async def test_what_people_answered_before_is_kept(env: ActivityEnv) -> None:
    """Also over an attempt that left no end."""
    job = await env.open(request=ID)
    answer = Answered(approval="plan", choice=Choice.APPROVE, by="Ada")
    await end(job, DONE, FAILED, answers=(answer,))

    assert (await resumed(job)).answers == (answer,)
    assert (await resumed(job, 3)).answers == (answer,)


async def test_an_attempt_that_left_no_end_goes_on_as_it_began(env: ActivityEnv) -> None:
    """It was terminated: its tasks keep the ids under which their conversations are."""
    job = await env.open(request=ID)
    await end(job, DONE, FAILED)
    first = await resumed(job)
    found = await resumed(job, 3)
    assert found.tasks == first.tasks
    assert (found.plan, found.approved) == (PLAN, True)


async def test_a_first_run_that_left_no_end_goes_on_under_its_ids(env: ActivityEnv) -> None:
    """Nothing is known of its tasks: each agent finds its calls."""
    assert await resumed(await env.open(request=ID)) == RequestResumed()


async def test_a_request_that_is_open_again_has_no_end(env: ActivityEnv) -> None:
    """What is shown of it is what it tells, until it ends again."""
    job = await env.open(request=ID)
    await end(job, DONE, FAILED)
    kept = KeptRequest(job.store, "one")
    assert await kept.ended() is not None
    await again(env)
    assert await kept.ended() is None
    await end(job, DONE, FAILED, attempt=2)
    ended = await kept.ended()
    assert ended is not None
    assert ended.status.attempt == 2


async def test_a_delivered_branch_is_moved_on_unless_somebody_moved_it(env: ActivityEnv) -> None:
    """From the commit that was delivered; a branch that is elsewhere is left alone."""
    job = await env.open(request=ID)
    first = await job.changed({"a": "1\n"})
    second = await job.changed({"b": "1\n"}, on=first)
    deliver = job.env.repositories.deliver_branch
    order = DeliverBranch(
        repository=job.opened.repository,
        path=str(env.person),
        branch="made",
        commit=first,
        base=job.base,
    )
    await ActivityEnvironment().run(deliver, order)
    moved = order.model_copy(update={"commit": second, "moves_from": first})
    for _ in range(2):
        assert (await ActivityEnvironment().run(deliver, moved)).commit == second
    assert git(env.person, "rev-parse", "made") == second

    git(env.person, "branch", "-f", "made", job.base)
    third = moved.model_copy(update={"commit": await job.changed({"c": "1\n"}, on=second)})
    with pytest.raises(ApplicationError, match="was moved meanwhile") as caught:
        await ActivityEnvironment().run(deliver, third)
    assert caught.value.type == FailureKind.REFUSED
    assert git(env.person, "rev-parse", "made") == job.base


async def test_a_retry_may_name_another_branch(env: ActivityEnv) -> None:
    """It is claimed, and known to every later attempt."""
    job = await env.open(request=ID)
    await end(job, DONE, FAILED)
    assert (await again(env, branch="other")).branch == "other"
    kept = await KeptRequest(job.store, "one").opened()
    assert kept is not None
    assert kept.branch == "other"
    assert job.store.ref(ids.claim_ref("other")) is not None


async def test_a_retry_of_which_nothing_is_kept_is_refused(env: ActivityEnv) -> None:
    """Another repository at the same place is not worked on as if it were the first one."""
    other = person(env.folder / "other")
    with pytest.raises(ApplicationError, match="nothing of this request is kept") as caught:
        await again(env, other)
    assert caught.value.type == FailureKind.REFUSED
    assert env.made() == []


async def test_what_cannot_run_is_refused(env: ActivityEnv) -> None:
    """A task that is not in the plan, started by hand."""
    job = await env.open(request=ID)
    await end(job, DONE, FAILED)
    with pytest.raises(ApplicationError, match="there is no task 'c': a") as caught:
        await resumed(job, 2, "c")
    assert caught.value.type == FailureKind.REFUSED
