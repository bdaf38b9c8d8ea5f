"""The script: which requests are answered with which replies.

The reply depends on the request alone: the agent determines the conversation,
and the number of replies that the request already contains determines the turn.
So concurrent agents, retries and a restarted server need no state.
`rehearsal.script_loader` reads scripts from JSON.
"""

import dataclasses
import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rehearsal import prompt
from rehearsal.faults import Fault
from rehearsal.placeholders import PlaceholderValues, shortened
from rehearsal.prompt import Prompt
from rehearsal.wire import ApiError


class UnansweredError(ApiError):
    """No turn of the script answers a request; a 400 that describes the request."""


class UnexpectedError(ApiError):
    """A request does not meet its turn's expectation; a 400 that names both."""


@dataclasses.dataclass(frozen=True)
class AgentIdentity:
    """The agent that sent a request, by the header ``x-orchestcode-agent``; absent fields are None.

    Attributes:
        task: the task's key within its request.
        attempt: the attempt at the task, counted by the client.
        agent: the id of the agent's workflow.
    """

    role: str | None = None
    task: str | None = None
    attempt: str | None = None
    agent: str | None = None
    request: str | None = None

    @classmethod
    def parse(cls, header: str) -> "AgentIdentity":
        """Read ``role=coder; task=fix-parser; attempt=1``; "-" and "" mean absent."""
        pairs = (part.partition("=") for part in header.split(";"))
        fields = {key.strip(): value.strip() for key, _, value in pairs}
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{k: v for k, v in fields.items() if k in known and v not in {"", "-"}})


@dataclasses.dataclass(frozen=True)
class ConversationMatch:
    """Which conversations are answered; each default matches every conversation.

    Attributes:
        names: shell patterns by the header's field, for instance {"task": "fix-*"}.
        model: shell pattern of the model's id.
        contains: texts that the first message must all contain.
        system_contains: texts that the system prompt must all contain.
    """

    names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    model: str = "*"
    contains: Sequence[str] = ()
    system_contains: Sequence[str] = ()

    def matches(self, agent: AgentIdentity, request: Prompt) -> bool:
        """Return whether an agent's request belongs to a matching conversation."""
        fields = dataclasses.asdict(agent)
        for name, pattern in self.names.items():
            if fields[name] is None or not fnmatch.fnmatchcase(fields[name], pattern):
                return False
        return (
            fnmatch.fnmatchcase(request.model.id, self.model)
            and _contains_all(prompt.first_text(request), self.contains)
            and _contains_all(prompt.system_text(request), self.system_contains)
        )


def _contains_all(text: str, parts: Sequence[str]) -> bool:
    return all(part in text for part in parts)


@dataclasses.dataclass(frozen=True)
class ExpectedResult:
    """What one tool result must be; None and () require nothing."""

    is_error: bool | None = None
    contains: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Expectation:
    """What a request must contain before its turn answers it.

    Attributes:
        results: the tool results since the last reply, in order; None requires nothing.
        last_user_contains: texts in the user's words since the last reply.
        system_contains: texts in the system prompt.
    """

    results: Sequence[ExpectedResult] | None = None
    last_user_contains: Sequence[str] = ()
    system_contains: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class ScriptedToolCall:
    """One scripted tool call; strings inside the input may contain placeholders.

    Attributes:
        input: an object, or what a confused model sends in its place.
        id: of the call; None takes a new one.
    """

    tool: str
    input: Any
    id: str | None = None


@dataclasses.dataclass(frozen=True)
class Turn:
    """One reply.

    Attributes:
        think: the thinking, sent first and only when the request has thinking on.
        say: the text, before the calls.
        call: tool calls, in order.
        stop: the stop reason; by default tool_use with calls, else end_turn.
        expect: checked first; a failure is a 400 and is marked in the journal.
        fault: the faults of the first attempts, in order.
        usage: fields of the reply's usage to overwrite, tokens.
        delay_ms: the pause before the first byte.
        when: texts; only for asides, which answer every request that contains them.
    """

    think: str | None = None
    say: str | None = None
    call: Sequence[ScriptedToolCall] = ()
    stop: str | None = None
    expect: Expectation = Expectation()
    fault: Sequence[Fault] = ()
    usage: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    delay_ms: float = 0.0
    when: Sequence[str] = ()

    @property
    def stop_reason(self) -> str:
        """The stop reason, its default resolved."""
        return self.stop or ("tool_use" if self.call else "end_turn")


@dataclasses.dataclass(frozen=True)
class GeneratedTurns:
    """So many turns from one template, for benchmarks; `bytes` is the length of {{filler}}."""

    turns: int
    bytes: int
    turn: Turn


@dataclasses.dataclass(frozen=True)
class Conversation:
    """The replies of matching conversations (a cast): turns, then generated turns, then the finish.

    Attributes:
        asides: turns that answer certain words at any point and are not counted as turns.
        offset: replies in the conversation before the first turn.
    """

    match: ConversationMatch
    turns: Sequence[Turn] = ()
    generate: GeneratedTurns | None = None
    finish: Sequence[Turn] = ()
    asides: Sequence[Turn] = ()
    offset: int = 0

    def length(self) -> int:
        """Return the number of turns."""
        return len(self.turns) + (self.generate.turns if self.generate else 0) + len(self.finish)

    def turn(self, index: int) -> tuple[Turn, int] | None:
        """Return a turn and its number among the generated ones; None past the end."""
        if not 0 <= index < self.length():
            return None
        if index < len(self.turns):
            return self.turns[index], 0
        index -= len(self.turns)
        if self.generate and index < self.generate.turns:
            return self.generate.turn, index
        return self.finish[index - (self.generate.turns if self.generate else 0)], 0


@dataclasses.dataclass(frozen=True)
class SoakFaults:
    """Random faults of a share of the turns that script none, for soak runs."""

    rate: float
    faults: Sequence[Fault]


@dataclasses.dataclass(frozen=True)
class RateLimit:
    """What comes beside `at_once` requests that are being answered is refused with a 429.

    Attributes:
        retry_after: seconds, in the refusal's header.
    """

    at_once: int
    retry_after: float = 1.0


@dataclasses.dataclass(frozen=True)
class Script:
    """A whole script.

    Attributes:
        casts: the first that matches answers.
        seed: determines all ids and signatures.
        models: changes to the model table, by model id.
        toolless: the reply to a request without tools that no cast matches, or None.
    """

    casts: Sequence[Conversation]
    seed: int = 0
    models: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    soak: SoakFaults | None = None
    limit: RateLimit | None = None
    toolless: str | None = None


def turn_index(request: Prompt, conversation: Conversation | None) -> int:
    """Return the number of the turn that answers a request, counted from 0, without asides."""
    if conversation is None or not conversation.asides:
        return request.turn()
    answered_by_aside = (
        any(_contains_all(text, aside.when) for aside in conversation.asides)
        for text in _answered_texts(request)
    )
    return request.turn() - sum(answered_by_aside)


def _answered_texts(request: Prompt) -> Iterator[str]:
    """Yield, for every finished reply, the text that it answered."""
    texts: list[str] = []
    previous = ""
    for message in request.messages:
        if message["role"] != "assistant":
            blocks = prompt.content_blocks(message["content"])
            texts += [block["text"] for block in blocks if block["type"] == "text"]
        elif previous != "assistant":
            yield "\n".join(texts)
            texts = []
        previous = message["role"]


def find_conversation(script: Script, agent: AgentIdentity, request: Prompt) -> Conversation | None:
    """Return the first cast that matches, or None."""
    return next((cast for cast in script.casts if cast.match.matches(agent, request)), None)


def resolve_turn(script: Script, agent: AgentIdentity, request: Prompt) -> Turn:
    """Return the turn that answers a request, its placeholders filled in.

    Raises:
        ApiError: 400, when the script has no answer or a placeholder refers to nothing.
    """
    conversation = find_conversation(script, agent, request)
    index = turn_index(request, conversation)
    if conversation is None:
        if script.toolless is None or request.body.get("tools"):
            raise _unanswered(agent, request, index, "no cast matches")
        return Turn(say=script.toolless)
    incoming = prompt.plain_text(request.incoming())
    aside = next((a for a in conversation.asides if _contains_all(incoming, a.when)), None)
    found = (aside, 0) if aside else conversation.turn(index - conversation.offset)
    if found is None:
        why = f"its cast ends after {conversation.length()} turns"
        raise _unanswered(agent, request, index, why)
    turn, number = found
    size = conversation.generate.bytes if conversation.generate and not aside else 0
    values = PlaceholderValues(dataclasses.asdict(agent), request, index, number, size)
    calls = [dataclasses.replace(call, input=values.fill(call.input)) for call in turn.call]
    think, say = values.fill(turn.think), values.fill(turn.say)
    return dataclasses.replace(turn, think=think, say=say, call=calls)


def _unanswered(agent: AgentIdentity, request: Prompt, index: int, why: str) -> UnansweredError:
    names = ", ".join(f"{k}={v or '-'}" for k, v in dataclasses.asdict(agent).items())
    content = prompt.plain_text(request.incoming()) or "\n".join(_result_texts(request))
    return UnansweredError(
        400,
        f"rehearsal: nothing is scripted for turn {index} of {names}: {why}. "
        f"The request says: {shortened(content)!r}",
    )


def _result_texts(request: Prompt) -> list[str]:
    results = [block.raw for block in request.incoming() if block.kind == "tool_result"]
    return [prompt.text_of(result.get("content")) for result in results]


def check_expectation(expect: Expectation, request: Prompt) -> None:
    """Compare a request with what its turn expects.

    Raises:
        UnexpectedError: it names what was expected and what came.
    """
    _require("the last user text", prompt.plain_text(request.incoming()), expect.last_user_contains)
    _require("the system prompt", prompt.system_text(request), expect.system_contains)
    if expect.results is None:
        return
    results = [block.raw for block in request.incoming() if block.kind == "tool_result"]
    if len(results) != len(expect.results):
        expected = len(expect.results)
        raise _unexpected(f"expected {expected} tool results, got {len(results)}")
    for i, (wanted, got) in enumerate(zip(expect.results, results, strict=True)):
        text = prompt.text_of(got.get("content"))
        if wanted.is_error not in {None, bool(got.get("is_error"))}:
            state = f"is_error={wanted.is_error}"
            raise _unexpected(f"expected result {i} to have {state}, it is {shortened(text)!r}")
        _require(f"result {i}", text, wanted.contains)


def _require(place: str, text: str, parts: Sequence[str]) -> None:
    for part in parts:
        if part not in text:
            raise _unexpected(f"expected {place} to contain {part!r}, it is {shortened(text)!r}")


def _unexpected(failure: str) -> UnexpectedError:
    return UnexpectedError(400, f"rehearsal: {failure}")
