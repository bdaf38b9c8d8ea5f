"""
The script: who is answered with what, as written by an author in one JSON file.

A step is a function of the request alone: the cast is chosen by who asks,
the turn by how many replies the request already carries.
So concurrent agents and retries are answered alike, and a restart changes nothing.
`rehearsal.script_loader` reads it from JSON.
"""

import dataclasses
import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rehearsal import prompt
from rehearsal.faults import Fault
from rehearsal.placeholders import Values, shortened
from rehearsal.prompt import Prompt
from rehearsal.wire import ApiError, Json


class UnansweredError(ApiError):
    """No turn of the script answers a request: 400, with what was seen."""


class UnexpectedError(ApiError):
    """A request does not hold what its turn expects: 400, with both."""


@dataclasses.dataclass(frozen=True)
class Agent:
    """
    Who asks, from the header ``x-orchestcode-agent``; None where it said nothing.

    Attributes:
        role: for instance planner, coder, reviewer.
        task: the task's key within its request.
        attempt: which try at the task, counted by the client.
        agent: the id of the agent's workflow.
        request: the id of the whole request.
    """

    role: str | None = None
    task: str | None = None
    attempt: str | None = None
    agent: str | None = None
    request: str | None = None

    @classmethod
    def parse(cls, header: str) -> "Agent":
        """Read ``role=coder; task=fix-parser; attempt=1``; "-" and "" mean absent."""
        pairs = (part.partition("=") for part in header.split(";"))
        said = {key.strip(): value.strip() for key, _, value in pairs}
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{k: v for k, v in said.items() if k in known and v not in {"", "-"}})


@dataclasses.dataclass(frozen=True)
class Match:
    """
    Which conversations a cast answers; what is not named matches everything.

    Attributes:
        names: shell patterns by the header's field, for instance {"task": "fix-*"}.
        model: shell pattern of the model's id.
        contains: texts that must all stand in the first message.
        system_contains: texts that must all stand in the system prompt.
    """

    names: Mapping[str, str] = dataclasses.field(default_factory=dict)
    model: str = "*"
    contains: Sequence[str] = ()
    system_contains: Sequence[str] = ()

    def fits(self, agent: Agent, request: Prompt) -> bool:
        """Tell whether a conversation is one of this cast's."""
        said = dataclasses.asdict(agent)
        for name, pattern in self.names.items():
            if said[name] is None or not fnmatch.fnmatchcase(said[name], pattern):
                return False
        return (
            fnmatch.fnmatchcase(request.model.id, self.model)
            and _holds(prompt.first_text(request), self.contains)
            and _holds(prompt.system_text(request), self.system_contains)
        )


def _holds(text: str, wanted: Sequence[str]) -> bool:
    return all(one in text for one in wanted)


@dataclasses.dataclass(frozen=True)
class ExpectedResult:
    """What one tool result must be; None and () demand nothing."""

    is_error: bool | None = None
    contains: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class Expect:
    """
    What a request must hold before its turn is played.

    Attributes:
        results: the tool results just received, in order; None demands nothing.
        last_user_contains: texts in what was said since the last reply.
        system_contains: texts in the system prompt.
    """

    results: Sequence[ExpectedResult] | None = None
    last_user_contains: Sequence[str] = ()
    system_contains: Sequence[str] = ()


@dataclasses.dataclass(frozen=True)
class ToolCall:
    """One scripted tool call; strings inside the input may hold placeholders."""

    tool: str
    input: Json


@dataclasses.dataclass(frozen=True)
class Turn:
    """
    One reply.

    Attributes:
        think: what is thought first; only sent when the request has thinking on.
        say: text, before the calls.
        call: tool calls, in order.
        stop: the stop reason; by default tool_use with calls, else end_turn.
        expect: checked first; a failure answers 400 and marks the journal.
        fault: what goes wrong, one after the other, counted in attempts.
        usage: fields of the reply's usage to overwrite, tokens.
        delay_ms: silence before the first byte.
        when: texts; only for asides, which answer whenever the incoming text holds them.
    """

    think: str | None = None
    say: str | None = None
    call: Sequence[ToolCall] = ()
    stop: str | None = None
    expect: Expect = Expect()
    fault: Sequence[Fault] = ()
    usage: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    delay_ms: float = 0.0
    when: Sequence[str] = ()

    @property
    def stop_reason(self) -> str:
        """The stop reason, default resolved."""
        return self.stop or ("tool_use" if self.call else "end_turn")


@dataclasses.dataclass(frozen=True)
class Generate:
    """
    Many like turns, for benchmarks.

    Attributes:
        turns: how many.
        bytes: the length of what {{filler}} stands for.
        turn: the template.
    """

    turns: int
    bytes: int
    turn: Turn


@dataclasses.dataclass(frozen=True)
class Conversation:
    """
    One part to play: its turns, then generated ones, then the finish.

    Attributes:
        match: the conversations it answers.
        turns: the written turns, oldest first.
        generate: turns made from a template, after the written ones.
        finish: turns after the generated ones.
        asides: turns that answer certain words at any point and count for nothing.
        offset: turns that had been played in the conversation before this cast's first.
    """

    match: Match
    turns: Sequence[Turn] = ()
    generate: Generate | None = None
    finish: Sequence[Turn] = ()
    asides: Sequence[Turn] = ()
    offset: int = 0

    def length(self) -> int:
        """Return how many turns this cast can play."""
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
class Soak:
    """
    Faults sprinkled over all turns that script none, for soak runs.

    Attributes:
        rate: the share of turns that are hit, 0 to 1.
        faults: what may happen; one of them is chosen for a turn.
    """

    rate: float
    faults: Sequence[Fault]


@dataclasses.dataclass(frozen=True)
class Script:
    """
    Everything a server plays.

    Attributes:
        casts: the first that matches wins.
        seed: all ids and seals follow from it.
        models: changes to the model table, by model id.
        soak: faults at random, but the same for the same seed, or None.
        toolless: the answer to a request without tools that no cast matches, or None.
    """

    casts: Sequence[Conversation]
    seed: int = 0
    models: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    soak: Soak | None = None
    toolless: str | None = None


@dataclasses.dataclass(frozen=True)
class Step:
    """
    The turn that answers a request, placeholders filled in.

    Attributes:
        turn: what to reply.
        index: the turn's number in its conversation, counted from 0, asides left out.
        aside: it answered certain words, not a place in the conversation.
    """

    turn: Turn
    index: int
    aside: bool = False


def index_of(request: Prompt, cast: Conversation | None) -> int:
    """Return the number of the turn that a request asks for, counted from 0."""
    asides = [turn.when for turn in cast.asides] if cast else []
    if not asides:
        return request.turn()
    return request.turn() - sum(
        any(_holds(text, when) for when in asides) for text in _prompts(request)
    )


def _prompts(request: Prompt) -> Iterator[str]:
    """Yield, for every finished reply, the text that it answered."""
    said: list[str] = []
    previous = ""
    for message in request.messages:
        if message["role"] != "assistant":
            said.append(_spoken(message))
        elif previous != "assistant":
            yield "\n".join(said)
            said = []
        previous = message["role"]


def _spoken(message: Json) -> str:
    blocks = prompt.content_blocks(message["content"])
    return "\n".join(block["text"] for block in blocks if block["type"] == "text")


def choose(script: Script, agent: Agent, request: Prompt) -> Conversation | None:
    """Return the first cast that matches, or None."""
    return next((cast for cast in script.casts if cast.match.fits(agent, request)), None)


def step(script: Script, agent: Agent, request: Prompt) -> Step:
    """
    Return the turn that answers a request.

    Raises:
        ApiError: 400 that names what was seen, when the script has no answer
            or a placeholder points at nothing.
    """
    cast = choose(script, agent, request)
    index = index_of(request, cast)
    if cast is None:
        return _toolless(script, agent, request)
    incoming = prompt.said(request.incoming())
    names = dataclasses.asdict(agent)
    for aside in cast.asides:
        if _holds(incoming, aside.when):
            return Step(_filled(aside, Values(names, request, index)), index, aside=True)
    found = cast.turn(index - cast.offset)
    if found is None:
        raise _unanswered(agent, request, index=index, length=cast.length())
    turn, number = found
    size = cast.generate.bytes if cast.generate else 0
    return Step(_filled(turn, Values(names, request, index, number, size)), index)


def _toolless(script: Script, agent: Agent, request: Prompt) -> Step:
    if script.toolless is None or request.body.get("tools"):
        raise _unanswered(agent, request, index=request.turn(), length=None)
    return Step(Turn(say=script.toolless), request.turn())


def _unanswered(
    agent: Agent, request: Prompt, *, index: int, length: int | None
) -> UnansweredError:
    why = "no cast matches" if length is None else f"its cast ends after {length} turns"
    names = ", ".join(f"{k}={v or '-'}" for k, v in dataclasses.asdict(agent).items())
    seen = prompt.said(request.incoming()) or _result_texts(request)
    return UnansweredError(
        400,
        f"rehearsal: nothing is scripted for turn {index} of {names}: {why}. "
        f"The request says: {shortened(seen)!r}",
    )


def _result_texts(request: Prompt) -> str:
    blocks = [b.raw for b in request.incoming() if b.kind == "tool_result"]
    return "\n".join(prompt.text_of(block.get("content")) for block in blocks)


def check(expect: Expect, request: Prompt) -> None:
    """
    Compare a request with what its turn expects.

    Raises:
        UnexpectedError: with what was expected and what came.
    """
    failure = _check_texts(expect, request) or _check_results(expect, request)
    if failure is not None:
        raise UnexpectedError(400, f"rehearsal: {failure}")


def _check_texts(expect: Expect, request: Prompt) -> str | None:
    spoken = prompt.said(request.incoming())
    system = prompt.system_text(request)
    for place, text, wanted in (
        ("last user text", spoken, expect.last_user_contains),
        ("system prompt", system, expect.system_contains),
    ):
        for one in wanted:
            if one not in text:
                return f"expected the {place} to contain {one!r}, it is {shortened(text)!r}"
    return None


def _check_results(expect: Expect, request: Prompt) -> str | None:
    if expect.results is None:
        return None
    results = [b.raw for b in request.incoming() if b.kind == "tool_result"]
    if len(results) != len(expect.results):
        return f"expected {len(expect.results)} tool results, got {len(results)}"
    for i, (wanted, got) in enumerate(zip(expect.results, results, strict=True)):
        text = prompt.text_of(got.get("content"))
        error = bool(got.get("is_error"))
        if wanted.is_error is not None and wanted.is_error != error:
            return (
                f"expected result {i} to have is_error={wanted.is_error}, it is {shortened(text)!r}"
            )
        for one in wanted.contains:
            if one not in text:
                return f"expected result {i} to contain {one!r}, it is {shortened(text)!r}"
    return None


def _filled(turn: Turn, values: Values) -> Turn:
    calls = [ToolCall(call.tool, values.fill_all(call.input)) for call in turn.call]
    think = None if turn.think is None else values.fill(turn.think)
    say = None if turn.say is None else values.fill(turn.say)
    return dataclasses.replace(turn, think=think, say=say, call=calls)
