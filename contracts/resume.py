"""A request that goes on after it has ended: what is asked for, and what its store keeps."""

from abc import ABC, abstractmethod

from pydantic import Field
from temporalio import activity

from contracts.agent import Note
from contracts.approvals import Answered
from contracts.base import Contract, HumanInput, TaskId
from contracts.continuation import AttemptsTold, ContinueTask, TellAttempts, TurnChoice
from contracts.delivery import Delivered
from contracts.goal import GoalRound
from contracts.planning import Plan
from contracts.store import RepositoryRef
from contracts.task import EarlierAttempt, TaskStatus


class Retry(HumanInput):
    """What a further attempt at a request does.

    Attributes:
        attempt: its number; the request's first run was attempt 1.
        tasks: run these again, and what depends on them; empty = all that are not done.
        choice: one of these goes on from a turn that a person has chosen.
    """

    attempt: int = Field(ge=2)
    tasks: tuple[TaskId, ...] = Field(default=(), max_length=64)
    choice: TurnChoice | None = None


class ResumeRequest(Contract):
    """Ask for what the attempts before this one have left in the store.

    Attributes:
        repository: the request's place in its store.
        request_id: its workflow id.
    """

    repository: RepositoryRef
    request_id: str
    retry: Retry


class RequestResumed(Contract):
    """With what a further attempt begins; by default with nothing, as a first one.

    Attributes:
        plan: the last one; None when there was none: it is planned again.
        approved: tasks of the plan ran, so nobody is asked about it again.
        tasks: its rows. One that is pending runs, under its `workflow_id` where it has one, and its
            agents go on with the conversations of that id.
        planner: the workflow id below which planners run; "" = the request's own.
        notes: of the person, from all attempts before.
        spent_microusd, unpriced_tokens: by everything whose figures no agent tells again.
        delivered: the branch that an earlier attempt has delivered.
        rounds: of its goal, so far.
        answers: of people, the last ones of all attempts before, newest last.
    """

    plan: Plan | None = None
    approved: bool = False
    tasks: tuple[TaskStatus, ...] = ()
    planner: str = ""
    notes: tuple[Note, ...] = ()
    spent_microusd: int = 0
    unpriced_tokens: int = 0
    delivered: Delivered | None = None
    rounds: tuple[GoalRound, ...] = ()
    answers: tuple[Answered, ...] = ()


class ContinuationActivities(ABC):
    """Tasks that go on from a turn of their agent's; task queue `git`."""

    @activity.defn
    @abstractmethod
    async def continue_task(self, request: ContinueTask) -> EarlierAttempt:
        """Make what a task begins with that goes on from a turn."""

    @activity.defn
    @abstractmethod
    async def tell_attempts(self, request: TellAttempts) -> AttemptsTold:
        """Tell a person what an agent has tried."""
