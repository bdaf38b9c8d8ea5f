"""An agent: one role at work in one worktree, turn by turn."""

from enum import StrEnum

from pydantic import Field

from contracts.base import Contract, ObjectId, ShortText
from contracts.model import OpenConversation, Role, ToolAnswer, Usage
from contracts.store import ConversationRef, RepositoryRef
from contracts.worktrees import WorktreeLease


class AgentLimits(Contract):
    """
    What ends an agent that does not end by itself.

    Attributes:
        turns: model calls in all.
        seconds: wall time of the whole agent, and of each model call at most.
        budget_microusd: money that it may spend; reserved by its caller.
        output_tokens: most that one reply may be.
    """

    turns: int = 60
    seconds: int = 7_200
    budget_microusd: int = 5_000_000
    output_tokens: int = 16_000


class AgentStart(Contract):
    """
    Start an agent, or let one go on with its conversation.

    Attributes:
        request_id: workflow id of the request: where its questions to people go.
        task_ref: task id, or "planner".
        attempt: counts the agent's rounds from 1.
        checkpoint: the worktree's state to begin with.
        opening: how to open the conversation; used when `conversation` is None.
        conversation: the log to go on with.
        message, documents: told first when it goes on (feedback, a log).
        notes: texts to tell after that, each whole: a person's, or what continue-as-new carries.
        answers, progress: what continue-as-new carries.
    """

    request_id: str
    repository: RepositoryRef
    role: Role
    task_ref: str
    attempt: int = 1
    lease: WorktreeLease
    checkpoint: ObjectId
    opening: OpenConversation
    conversation: ConversationRef | None = None
    message: str | None = Field(default=None, max_length=16_000)
    documents: tuple[tuple[str, ObjectId], ...] = ()
    notes: tuple[str, ...] = ()
    limits: AgentLimits = AgentLimits()
    seen: ObjectId | None = None
    answers: tuple[ToolAnswer, ...] = ()
    progress: "AgentProgress | None" = None


class StopCause(StrEnum):
    """What ended an agent before it said that it was done."""

    TURNS = "turn limit"
    TIME = "time limit"
    BUDGET = "budget"
    REFUSAL = "refusal"
    LOOP = "going in circles"
    SILENT = "stopped without finishing"
    CONTEXT = "context full"
    FAILURE = "failure"


class AgentProgress(Contract):
    """
    The counters of an agent's loop.

    Attributes:
        nudges: replies in a row without a tool call.
        bad_calls: tool calls in a row that could not be run.
        recent: digests of the last calls and their outcomes, newest last, at most 8.
        variant: repeats of the present turn.
        model: the model that answered last.
        started_at: seconds of the run's clock.
    """

    turns: int = 0
    nudges: int = 0
    bad_calls: int = 0
    recent: tuple[str, ...] = ()
    variant: int = 0
    usage: Usage = Usage()
    cost_microusd: int = 0
    model: str = ""
    started_at: float = 0.0


class AgentResult(Contract):
    """
    How an agent ended.

    Attributes:
        output: validated JSON of its `finish`, None when it was cut.
        cut: what ended it, None when it finished.
        failure: the FailureKind, when the cut is a failure.
        checkpoint: the worktree's last state.
    """

    output: str | None
    cut: StopCause | None = None
    reason: ShortText = ""
    failure: str | None = None
    checkpoint: ObjectId
    conversation: ConversationRef | None
    seen: ObjectId | None = None
    turns: int = 0
    usage: Usage = Usage()
    cost_microusd: int = 0
    model: str = ""


class AgentStatus(Contract):
    """What the `status` query of an agent tells."""

    role: Role
    task_ref: str
    turns: int
    tokens: int
    cost_usd: float
    doing: str
    model: str = ""
    context_tokens: int = 0


class Note(Contract):
    """
    A person's text for running agents.

    Attributes:
        task: the task it is for; None means every one.
    """

    text: str = Field(min_length=1, max_length=4_000)
    task: str | None = None
