"""One call of a model: what goes in, what comes out. Never messages, only references to them."""

from enum import StrEnum

from pydantic import Field

from contracts import wire_defaults
from contracts.base import Contract, ObjectId, ShortText
from contracts.model_choice import ModelChoice
from contracts.roles import RoleName
from contracts.store import ConversationRef, RepositoryRef
from contracts.verdicts import CallVerdict, Effect


class Usage(Contract):
    """Tokens of one or more calls. `input_tokens` excludes what the cache read or wrote.

    `cache_write_1h_tokens` are those of `cache_write_tokens` that are kept for an hour; 0 in what
    was recorded before 2026-12.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    cache_write_1h_tokens: int = 0

    @property
    def context_tokens(self) -> int:
        """Everything the model read."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    @property
    def total_tokens(self) -> int:
        """Everything that was read and written."""
        return self.context_tokens + self.output_tokens

    def plus(self, other: "Usage") -> "Usage":
        """Return the sum."""
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_write_1h_tokens=self.cache_write_1h_tokens + other.cache_write_1h_tokens,
        )


class OpenConversation(Contract):
    """Ask for a new conversation: system prompt, tools and the opening message, all in the store.

    Attributes:
        agent_id: workflow id of the agent; with `generation` it names the conversation.
        facts: what the opening tells, as labelled texts in order ("Request", "Task", ...).
        documents: labelled object ids whose text is told too (a diff, a check log).
        commit: the tree that the agent will see; its file list becomes the repository map.
        base: what the request started from: the instructions are read there. None in histories
            from before 2026-12, as `survey`.
        tip: what the agent's work begins on: its log is told.
        scope: path patterns that the agent may change; their folders' instructions are told.
        survey: what was found of the machine and the base.
        budget_microusd: what the agent may spend, 0 = unknown.
        size: turns that the plan estimates for its task; 0 = it estimates none.
        models: what the request asks for.
        resumed: the conversation that is there under this name is gone on with, whatever it was
            opened with.
        author: whose ledger a reviewer is told: the author's conversation as it is now.
        again: the ledger of the last attempt at its task is told.
    """

    repository: RepositoryRef
    agent_id: str
    role: RoleName
    facts: tuple[tuple[str, str], ...] = ()
    documents: tuple[tuple[str, ObjectId], ...] = ()
    commit: ObjectId
    generation: int = 0
    base: ObjectId | None = None
    tip: ObjectId | None = None
    scope: tuple[str, ...] = ()
    survey: ObjectId | None = None
    budget_microusd: int = 0
    size: int = 0
    models: ModelChoice = ModelChoice()
    resumed: bool = False
    author: ConversationRef | None = None
    again: bool = False


class ToolAnswer(Contract):
    """What a tool call came to, as the next model call tells it: text in the store, or `text`."""

    tool_use_id: str
    output: ObjectId | None = None
    text: ShortText = ""
    is_error: bool = False


class ModelCall(Contract):
    """Ask the model for its next turn.

    Attributes:
        agent: "role=…; task=…; attempt=…" as sent in the request's agent header.
        answers: every tool call of the last turn, in its order.
        message: a text from outside the conversation (feedback, a person's note, a nudge).
        documents: labelled object ids whose text follows the message.
        max_output_tokens: upper bound of the reply; the part of the budget that is reserved.
        parts: of which texts the message is made: the kind and the length of each, in order.
        variant: counts deliberate repeats of the same turn, so that each is its own call.
        resumed: a turn that is in the log after this head is the one that is asked for, also when
            a note of a person was told with it.
        fallback: the agent has changed to the fallback model of its configuration.
    """

    repository: RepositoryRef
    conversation: ConversationRef
    agent: str
    answers: tuple[ToolAnswer, ...] = ()
    message: str | None = Field(default=None, max_length=16_000)
    parts: tuple[tuple[str, int], ...] = ()
    documents: tuple[tuple[str, ObjectId], ...] = ()
    max_output_tokens: int = wire_defaults.REPLY_TOKENS
    variant: int = 0
    resumed: bool = False
    fallback: bool = False


class ToolUse(Contract):
    """One tool call of a reply, checked and judged where its arguments were in hand.

    Attributes:
        arguments: object id of the JSON arguments, None when they are not usable.
        subject: what it acts on, as people are shown it (a path, a command), cut.
        problem: why it cannot be run, for the model.
        effect: None when it cannot be run, and in histories from before 2026-12, as `verdict`.
    """

    id: str
    name: str
    arguments: ObjectId | None = None
    subject: str = Field(default="", max_length=400)
    problem: ShortText = ""
    effect: Effect | None = None
    verdict: CallVerdict | None = None


class ReplyOutcome(StrEnum):
    """What a reply's stop reason means, as the table of conditions says."""

    GOES_ON = "goes on"
    """Its calls are run; without any the agent is reminded."""
    PAUSED = "paused"
    """It is sent back as it is, and goes on."""
    TOO_LONG = "too long"
    """It is discarded and asked for again with more room."""
    REFUSED = "refused"
    FALLBACK = "ask the fallback model"
    """It is refused, and the model that the person allows instead is asked the same."""
    WINDOW_FULL = "window full"
    """The conversation goes on in a new window."""
    UNKNOWN = "unknown"
    """The stop reason is not known: nothing of the reply is run."""


class ModelTurn(Contract):
    """One finished reply, journaled in the store before this value exists.

    Attributes:
        conversation: the log after this turn; unchanged when the reply is discarded.
        stop_reason, model: as the API names them.
        finish: validated JSON of a `finish` call.
        says: the reply's text, one line cut at 120 characters; of a reply that ends the agent, why.
        discarded: the reply is not part of the log (cut by max_tokens, refused).
        outcome: None in histories from before 2026-12, where the stop reason decided.
    """

    conversation: ConversationRef
    stop_reason: str
    tool_uses: tuple[ToolUse, ...] = ()
    finish: str | None = Field(default=None, max_length=49_152)
    says: str = ""
    usage: Usage = Usage()
    cost_microusd: int = 0
    model: str = ""
    request_id: str = ""
    discarded: bool = False
    outcome: ReplyOutcome | None = None
