"""What a further attempt at a request begins with, by what its store keeps of those before."""

from collections.abc import Sequence

from contracts import roles
from contracts.continuation import ContinueTask
from contracts.delivery import Delivered
from contracts.request import RequestEnded, RequestStatus
from contracts.resume import RequestResumed, ResumeRequest
from contracts.spending import AgentOpened
from contracts.task import EarlierAttempt, TaskState, TaskStatus
from contracts.visibility import RunState
from domain import ids
from domain.planning import forks
from domain.request import retry
from domain.scheduling.budget import microusd
from domain.spending import cost_usd, unpriced_tokens
from infra.kept.agents import agents
from infra.kept.changes import landed, last_state
from infra.kept.continuing import NotContinuedError, continued, last_sound
from infra.kept.spending import SpendingReader
from infra.store import Store, records
from infra.store.soundness import CHECKPOINT_CORRUPTION, damage

_MOST_ANSWERS = 100
"""Of people that are kept from attempt to attempt."""


class NotRetriedError(Exception):
    """The request cannot be retried so; the text is one sentence."""


async def resumed(store: Store, order: ResumeRequest) -> RequestResumed:
    """Return what an attempt begins with, and note it: what the first time came to stands.

    Raises:
        NotRetriedError: nothing is left to do, or a task that is named cannot run.
    """
    ref = ids.retry_ref(order.repository.request_key, order.retry.attempt)
    if (known := await records.read(store, ref, RequestResumed)) is not None:
        return known
    await records.write_first(store, ref, await _begin(store, order))
    noted = await records.read(store, ref, RequestResumed)
    assert noted is not None  # noqa: S101 - it was just written
    return noted


async def last_end(store: Store, request_key: str, request_id: str) -> RequestEnded | None:
    """Return how the last attempt at a request ended, as far as anything of it is kept.

    One that was terminated, or lost with its server, left no end: what it began with counts as cut
    off. None when not even that is kept.
    """
    ended = await records.read(store, ids.ended_ref(request_key), RequestEnded)
    begun, at = await _last_begun(store, request_key)
    if begun is None or (ended is not None and ended.status.attempt >= at):
        return ended
    status = ended.status if ended else RequestStatus(id=request_id, state=RunState.CANCELLED)
    cut_off = {
        "attempt": at,
        "state": RunState.CANCELLED,
        "ending": None,
        "tasks": begun.tasks,
        "answers": begun.answers,
    }
    return RequestEnded(
        status=status.model_copy(update=cut_off),
        plan=begun.plan,
        approved=begun.approved,
        notes=begun.notes,
    )


async def _last_begun(store: Store, request_key: str) -> tuple[RequestResumed | None, int]:
    """Return what the last retry began with, and its attempt; (None, 0) when there was none."""
    found = await store.refs(ids.retry_ref(request_key, 0).rpartition("/")[0])
    attempts = [int(ref.rpartition("/")[2]) for ref in found]
    if not attempts:
        return None, 0
    last = max(attempts)
    return await records.read(store, ids.retry_ref(request_key, last), RequestResumed), last


async def _begin(store: Store, order: ResumeRequest) -> RequestResumed:
    key = order.repository.request_key
    ended = await last_end(store, key, order.request_id)
    if ended is None:
        return RequestResumed()  # every agent goes on under its first id
    status = ended.status
    if problem := retry.problem(status, order.retry.tasks, order.retry.choice):
        raise NotRetriedError(problem)
    opened = await agents(store, key)
    target = order.repository.target
    left = {row.id: await _left(store, key, row, opened, target) for row in status.tasks}
    choice = order.retry.choice
    going_on_from = await _continued(store, order, status)
    rows = retry.rows(status, order.retry, left, going_on_from)
    planner = _planner(ended, opened, order)
    going_on = {row.workflow_id for row in rows if row.state is TaskState.PENDING}
    going_on |= set() if ended.plan else {planner or order.request_id}
    spent = await SpendingReader().settled(store, key, {each for each in going_on if each})
    return RequestResumed(
        plan=forks.with_fork(ended.plan, choice) if ended.plan and choice else ended.plan,
        approved=ended.approved,
        tasks=rows,
        planner=planner,
        notes=ended.notes,
        spent_microusd=microusd(cost_usd(spent)),
        unpriced_tokens=unpriced_tokens(spent),
        delivered=_delivered(status),
        rounds=status.goal.rounds if status.goal else (),
        answers=status.answers[-_MOST_ANSWERS:],
    )


async def _left(
    store: Store, key: str, row: TaskStatus, opened: Sequence[AgentOpened], target: str
) -> retry.Left:
    own = [agent for agent in opened if agent.task == row.id]
    commit, rounds = await last_state(store, key, row.id, own)
    if commit is None or not (why := await damage(store, (commit,), beside=_base(store, key))):
        return retry.Left(commit, rounds, landed=await landed(store, key, row.id, target))
    sound = await last_sound(store, key, row.id, opened)
    said = f"{CHECKPOINT_CORRUPTION}: its last state is damaged ({why})"
    return retry.Left(sound, rounds, f"{said}, so an older one is taken")


def _base(store: Store, key: str) -> str | None:
    return store.ref(ids.base_ref(key))


async def _continued(
    store: Store, order: ResumeRequest, status: RequestStatus
) -> EarlierAttempt | None:
    """Return what the task begins with of which a person has chosen a turn."""
    choice = order.retry.choice
    if choice is None:
        return None
    row = next(row for row in status.tasks if row.id == choice.task)
    try:
        return await continued(
            store,
            ContinueTask(
                repository=order.repository,
                choice=choice,
                parent=ids.attempt_id(order.request_id, order.retry.attempt),
                before=row.earlier.number + 1 if row.earlier else 1,
            ),
        )
    except NotContinuedError as error:
        raise NotRetriedError(str(error)) from error


def _planner(ended: RequestEnded, opened: Sequence[AgentOpened], order: ResumeRequest) -> str:
    """Return below which id planners run: one that was cancelled goes on, else a new one begins."""
    planners = [each.agent for each in opened if each.role == roles.PLANNER and not each.task]
    if ended.plan is None and ended.status.state is RunState.CANCELLED:
        return planners[-1].rpartition("/")[0] if planners else ""
    return ids.attempt_id(order.request_id, order.retry.attempt)


def _delivered(status: RequestStatus) -> Delivered | None:
    if not status.branch or not status.commit:
        return None
    return Delivered(branch=status.branch, commit=status.commit, diffstat=status.diffstat)
