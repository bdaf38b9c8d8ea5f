"""An agent: one role at work in one worktree, turn by turn."""

from abc import ABC, abstractmethod
from enum import StrEnum

from pydantic import Field
from temporalio import activity

from contracts import wire_defaults
from contracts.base import Contract, ObjectId, ShortText
from contracts.handoff import HandoffCause, HandOver
from contracts.model import ModelCall, ModelTurn, OpenConversation, ToolAnswer, Usage
from contracts.planning import WriteScope
from contracts.roles import RoleName
from contracts.store import ConversationRef, RepositoryRef
from contracts.worktrees import WorktreeLease


class AgentLimits(Contract):
    """What ends an agent that does not end by itself; pinned at its start.

    Attributes:
        seconds: wall time of the whole agent, and of each model call at most.
        budget_microusd: reserved by its caller.
        output_tokens, largest_reply_tokens: of a reply; of one asked for again because it was cut.
        smallest_reply_tokens: with money for less the agent is cut.
        first_context_tokens, growth_tokens: reserved before a call, for an unread opening and for
            the results of one turn.
        nudges: reminders in a row of an agent that replies without a tool call.
        discarded_replies: repeats of a turn whose reply was cut.
        bad_calls: tool calls in a row that could not be run, of agents from before 2026-12.
        bad_replies: replies without a call that could be run, or with a finish beside other calls,
            since the last good one; 0 = as before 2026-12, when calls were counted.
        failed_replies: replies in a row whose calls all failed and changed nothing.
        round_turns: turns of a round that begins when the others have used up `turns`; 0 = each
            round has them all again, as before 2026-12.
        warn_percent: of turns, time or money used up, when the agent is told; 0 = never, as before
            2026-12.
        turns_a_size: turns for each that a plan estimates, when that is more than `turns`, up to
            `most_turns`; the time grows alike. 0 = the plan's size counts for nothing.
        same_call_warning, same_call_stop: replies with the same calls and the same outcome.
        window_tokens: input tokens of a call after which work goes on in a fresh window; 0 = one
            window for all, as before 2026-12.
        cycle_warning, cycle_stop: how often the same few replies in a row come again, A-B-A-B; 0 =
            not looked at.
        idle_warning, idle_stop: replies in a row that change nothing of the ledger; 0 = not looked
            at.
        stuck_windows: fresh windows for an agent that goes in circles, before another model or its
            end.
        approval_seconds: an unanswered question is denied after this long; set by its caller.
    """

    turns: int = wire_defaults.AGENT_TURNS
    seconds: int = wire_defaults.AGENT_SECONDS
    budget_microusd: int = wire_defaults.AGENT_BUDGET_MICROUSD
    output_tokens: int = wire_defaults.REPLY_TOKENS
    largest_reply_tokens: int = wire_defaults.LARGEST_REPLY_TOKENS
    smallest_reply_tokens: int = wire_defaults.SMALLEST_REPLY_TOKENS
    first_context_tokens: int = wire_defaults.FIRST_CONTEXT_TOKENS
    growth_tokens: int = wire_defaults.GROWTH_TOKENS
    nudges: int = wire_defaults.NUDGES
    discarded_replies: int = wire_defaults.DISCARDED_REPLIES
    bad_calls: int = wire_defaults.BAD_CALLS
    bad_replies: int = wire_defaults.BAD_REPLIES
    failed_replies: int = wire_defaults.FAILED_REPLIES
    round_turns: int = wire_defaults.ROUND_TURNS
    warn_percent: int = wire_defaults.WARN_PERCENT
    turns_a_size: int = wire_defaults.TURNS_A_SIZE
    most_turns: int = wire_defaults.MOST_TURNS
    same_call_warning: int = wire_defaults.SAME_CALL_WARNING
    same_call_stop: int = wire_defaults.SAME_CALL_STOP
    window_tokens: int = wire_defaults.WINDOW_TOKENS
    cycle_warning: int = wire_defaults.CYCLE_WARNING
    cycle_stop: int = wire_defaults.CYCLE_STOP
    idle_warning: int = wire_defaults.IDLE_WARNING
    idle_stop: int = wire_defaults.IDLE_STOP
    stuck_windows: int = wire_defaults.STUCK_WINDOWS
    approval_seconds: int = wire_defaults.APPROVAL_SECONDS


class ModelPrices(Contract):
    """What the loop needs to know of a model: dollars per million tokens, its longest reply.

    Attributes:
        known: False for a model whose price nobody has said; no budget holds it.
        write_factor: price of a token that is written to the cache, as a multiple of the input
            price, that is reserved before a call; 1.25 = that of five minutes, as before 2026-12.
    """

    input_usd: float
    output_usd: float
    max_output_tokens: int
    known: bool = True
    write_factor: float = wire_defaults.WRITE_FACTOR


class AgentConfig(Contract):
    """An agent's configuration as it was resolved at its start, also when it is tuned meanwhile.

    Attributes:
        id: object id of the whole: prompt, tools, model, prices, limits.
        limits: without the money, which the caller of the agent reserves.
        fallback: prices of the model that the person allows instead; None where none is allowed.
        settles_calls: an agent that is cancelled ends once its call has, so that what came of the
            reply is booked before its request ends; False in histories from before 2026-12.
    """

    id: ObjectId
    limits: AgentLimits
    prices: ModelPrices
    fallback: ModelPrices | None = None
    settles_calls: bool = False

    def prices_of(self, progress: "AgentProgress") -> ModelPrices:
        """Return the prices of the model that an agent asks now."""
        return (self.fallback if progress.fallback else None) or self.prices


class OpenedConversation(ConversationRef):
    """A new conversation; `config` is None in histories from before 2026-12."""

    config: AgentConfig | None = None


class AgentStart(Contract):
    """Start an agent, or let one go on with its conversation.

    Attributes:
        request_id: workflow id of the request: where its questions to people go.
        task_ref: task id, or "planner".
        attempt: counts the agent's rounds from 1.
        checkpoint: the worktree's state to begin with.
        opening: used when `conversation` is None.
        message, documents: told first when it goes on (feedback, a log).
        notes: texts to tell after that, each whole: a person's, or what continue-as-new carries.
        limits: its money; of an agent without a pinned configuration the other limits, too.
        config: pinned by the agent's first run for all later ones; None before that.
        scope: by what its writes of undeclared paths are judged; None when nothing is.
        size: turns that the plan estimates for its task; 0 = it estimates none.
        turns_before: of the same agent in its rounds before this one.
        answers, left_out, progress, handed_over: what continue-as-new carries.
    """

    request_id: str
    repository: RepositoryRef
    role: RoleName
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
    config: AgentConfig | None = None
    scope: WriteScope | None = None
    size: int = 0
    turns_before: int = 0
    answers: tuple[ToolAnswer, ...] = ()
    left_out: str | None = None
    progress: "AgentProgress | None" = None
    handed_over: HandoffCause | None = None


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
    """The counters of an agent's loop.

    Attributes:
        nudges: replies without a tool call since the last good one.
        bad_calls: tool calls in a row that could not be run, of agents from before 2026-12.
        bad_replies, failed_replies: as in `AgentLimits`.
        recent: digests of the last replies' calls and their outcomes, newest last.
        variant: repeats of the present turn.
        trail: digests as `recent`, also of replies after which the worktree changed.
        idle: replies in a row that changed nothing of the ledger.
        stuck_windows: fresh windows that the agent got because it went in circles.
        warned: limits of which the agent has been told that most is used up.
        lost: calls in a row without a usable reply that may have to be paid for.
        model: the one that answered last.
        fallback: the agent has changed to its fallback model, for good.
        started_at: seconds of the run's clock, later by as long as it waited for money, a
            person or a setup.
        granted_microusd: what it got beyond its share of the budget.
    """

    turns: int = 0
    nudges: int = 0
    bad_calls: int = 0
    bad_replies: int = 0
    failed_replies: int = 0
    recent: tuple[str, ...] = ()
    trail: tuple[str, ...] = ()
    idle: int = 0
    stuck_windows: int = 0
    variant: int = 0
    warned: tuple[str, ...] = ()
    lost: int = 0
    usage: Usage = Usage()
    cost_microusd: int = 0
    model: str = ""
    started_at: float = 0.0
    granted_microusd: int = 0
    fallback: bool = False


class AgentResult(Contract):
    """How an agent ended.

    Attributes:
        output: validated JSON of its `finish`, None when it was cut.
        cut: None when it finished.
        failure: the FailureKind, when the cut is a failure.
        checkpoint: the worktree's last state.
        priced: False when the price of its model is not known, so that its cost is not either.
        left_out: what of the worktree that state does not hold, for people; "" for nothing, None
            when no call looked.
        granted_microusd: what it got beyond its share of the budget.
    """

    output: str | None
    cut: StopCause | None = None
    reason: ShortText = ""
    failure: str | None = None
    checkpoint: ObjectId
    conversation: ConversationRef | None
    config: AgentConfig | None = None
    seen: ObjectId | None = None
    turns: int = 0
    usage: Usage = Usage()
    cost_microusd: int = 0
    priced: bool = True
    model: str = ""
    left_out: str | None = None
    granted_microusd: int = 0


class AgentStatus(Contract):
    """What the `status` query of an agent tells.

    Attributes:
        window: counts its context windows from 0.
        handed_over: why the last one ended; "" in the first.
    """

    role: RoleName
    task_ref: str
    turns: int
    tokens: int
    cost_usd: float
    doing: str
    priced: bool = True
    model: str = ""
    context_tokens: int = 0
    window: int = 0
    handed_over: str = ""


class Note(Contract):
    """A person's text for the agents of one task, or of every one when `task` is None.

    `code` is for requests whose answers need one.
    """

    text: str = Field(min_length=1, max_length=4_000)
    task: str | None = None
    code: str = Field(default="", max_length=100)


class ModelActivities(ABC):
    """The model's service; task queue `model`."""

    @activity.defn
    @abstractmethod
    async def open_conversation(self, request: OpenConversation) -> OpenedConversation:
        """Resolve the role, and write its configuration and the opening message to the store."""

    @activity.defn
    @abstractmethod
    async def call_model(self, request: ModelCall) -> ModelTurn:
        """Get the model's next turn, journaled before it returns."""

    @activity.defn
    @abstractmethod
    async def hand_over(self, request: HandOver) -> OpenedConversation:
        """Open an agent's next window with its ledger, kept in the store before it returns."""
