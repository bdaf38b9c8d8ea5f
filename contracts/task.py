"""A task's life: its states and what a person sees of it."""

from enum import StrEnum

from contracts.base import Contract, ObjectId, ShortText, TaskId
from contracts.continuation import Continuation
from contracts.endings import TaskEnding
from contracts.review import KeptFinding


class TaskState(StrEnum):
    """pending -> running -> (blocked | review) -> done, or failed, or cancelled."""

    PENDING = "pending"
    RUNNING = "running"
    BLOCKED = "blocked"
    REVIEW = "review"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class EarlierAttempt(Contract):
    """The last attempt at a task that runs again.

    Attributes:
        number: of the task's attempts so far.
        reason: why it did not do.
        commit: its last state in the store, on which the next one goes on; None when nothing of it
            is left, or all of it has landed.
        rounds: numbers of patches that are taken.
        continues: with what its agent goes on; None: in a conversation of its own.
    """

    number: int = 1
    reason: ShortText = ""
    commit: ObjectId | None = None
    rounds: int = 0
    continues: Continuation | None = None


class TaskStatus(Contract):
    """One task as `status` shows it.

    Attributes:
        size: turns that its plan estimates; 0 = not known.
        workflow_id: the SubtaskWorkflow, None before it starts.
        reason: why it is blocked, failed or waiting; empty while it simply runs.
        lane: the execution lane and why, "worktree: it writes".
        turns, tokens, cost_usd: summed over the task's agents so far as reported.
        unpriced_tokens: those of `tokens` whose price is not known.
        rounds: how often the task went back to its agent.
        rounds_left: how often it may still go back for checks or review; None before it is known.
        commit: the landed commit.
        findings: of its reviewers, settled or not.
        ending: how it ended; None while it is open, and in histories from before.
        no_change: why nothing had to change, when that is how it was done.
        dropped: acceptance commands that a person has dropped.
        granted: paths that it may change beside those it was planned with, and by what.
        kept: of a task that ended without landing: the command that fetches its last patch.
        answer: what an agent that changed nothing said: the answer to what was asked.
        left_out: what its agent's worktree held and what is kept does not; "" for nothing.
        earlier: the attempt before this one; None in a first one.
    """

    id: TaskId
    title: str
    state: TaskState = TaskState.PENDING
    depends_on: tuple[TaskId, ...] = ()
    workflow_id: str | None = None
    agent: str | None = None
    reason: str = ""
    lane: str = ""
    turns: int = 0
    tokens: int = 0
    unpriced_tokens: int = 0
    cost_usd: float = 0.0
    rounds: int = 0
    rounds_left: int | None = None
    commit: ObjectId | None = None
    findings: tuple[KeptFinding, ...] = ()
    no_change: str = ""
    dropped: tuple[str, ...] = ()
    granted: tuple[ShortText, ...] = ()
    kept: str = ""
    answer: str = ""
    ending: TaskEnding | None = None
    left_out: str = ""
    earlier: EarlierAttempt | None = None
    size: int = 0
