"""Reading a script from its JSON file.

An unknown key is refused with its name and path,
so that a misspelt expectation is never silently skipped.
"""

import dataclasses
import json
import pathlib
from typing import Any, Final

from rehearsal import models
from rehearsal.faults import Fault
from rehearsal.script import (
    AgentIdentity,
    Conversation,
    ConversationMatch,
    Expectation,
    ExpectedResult,
    GeneratedTurns,
    Script,
    ScriptedToolCall,
    SoakFaults,
    Turn,
)

STOPS: Final = (
    "end_turn",
    "tool_use",
    "max_tokens",
    "stop_sequence",
    "refusal",
    "model_context_window_exceeded",
)
"""Stop reasons that a turn may have; pause_turn is a fault, since the rest must follow."""


class ScriptError(ValueError):
    """An invalid script; the text names the path of the mistake."""


def load(path: pathlib.Path) -> Script:
    """Read a script file.

    Raises:
        ScriptError: it is not JSON, or not a valid script; the text names the path.
        OSError: it cannot be read.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ScriptError(f"{path}: not JSON: {error}") from error
    try:
        return read(data)
    except ScriptError as error:
        raise ScriptError(f"{path}: {error}") from error


def read(data: object) -> Script:
    """Read a script from parsed JSON.

    Raises:
        ScriptError: it is not a valid script; the text names the path.
    """
    reader = _ObjectReader(data, "script")
    script = Script(
        casts=[_cast(child) for child in reader.children("casts")],
        seed=reader.take("seed", int, 0),
        models=reader.take("models", dict, {}),
        soak=_soak(reader.child("soak")),
        toolless=reader.take("toolless", str, None),
    )
    reader.take("$schema", str, None)
    reader.take("about", str | list, None)
    reader.finish()
    try:
        models.table(script.models)
    except (ValueError, TypeError) as error:
        raise ScriptError(f"script: {error}") from error
    if not script.casts and script.toolless is None:
        raise ScriptError("script: needs at least one cast")
    return script


class _ObjectReader:
    """A JSON object being read: each key is taken once; a key that is left over is a mistake."""

    def __init__(self, data: object, path: str) -> None:
        if not isinstance(data, dict):
            raise ScriptError(f"{path}: must be an object")
        self.path = path
        self._unread = dict(data)

    def take(self, key: str, kind: Any, default: Any) -> Any:
        value = self._unread.pop(key, None)
        if value is None:
            return default
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ScriptError(f"{self.path}.{key}: wrong type {type(value).__name__}")
        return value

    def require(self, key: str, kind: Any) -> Any:
        value = self.take(key, kind, None)
        if value is None:
            raise ScriptError(f"{self.path}.{key}: is missing")
        return value

    def count(self, key: str, *, minimum: int, default: int | None = None) -> int:
        value = int(self.require(key, int) if default is None else self.take(key, int, default))
        if value < minimum:
            raise ScriptError(f"{self.path}.{key}: must be at least {minimum}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.take(key, str | list, [])
        texts = [value] if isinstance(value, str) else value
        if not all(isinstance(text, str) for text in texts):
            raise ScriptError(f"{self.path}.{key}: must be a text or a list of texts")
        return tuple(texts)

    def child(self, key: str) -> "_ObjectReader | None":
        value = self._unread.pop(key, None)
        return None if value is None else _ObjectReader(value, f"{self.path}.{key}")

    def children(self, key: str) -> list["_ObjectReader"]:
        value = self.take(key, list, [])
        return [_ObjectReader(child, f"{self.path}.{key}[{i}]") for i, child in enumerate(value)]

    def rest(self) -> dict[str, Any]:
        rest, self._unread = self._unread, {}
        return rest

    def finish(self) -> None:
        if self._unread:
            raise ScriptError(f"{self.path}: unknown keys {sorted(self._unread)}")


def _cast(reader: _ObjectReader) -> Conversation:
    generate = reader.child("generate")
    cast = Conversation(
        match=_match(reader.child("match")),
        turns=[_turn(child) for child in reader.children("turns")],
        generate=None if generate is None else _generate(generate),
        finish=[_turn(child) for child in reader.children("finish")],
        asides=[_turn(child, aside=True) for child in reader.children("asides")],
        offset=reader.count("offset", minimum=0, default=0),
    )
    reader.take("about", str | list, None)
    reader.finish()
    return cast


def _match(reader: _ObjectReader | None) -> ConversationMatch:
    if reader is None:
        return ConversationMatch()
    names = {}
    for field in dataclasses.fields(AgentIdentity):
        value = reader.take(field.name, str | int, None)
        if value is not None:
            names[field.name] = str(value)
    match = ConversationMatch(
        names=names,
        model=reader.take("model", str, "*"),
        contains=reader.texts("contains"),
        system_contains=reader.texts("system_contains"),
    )
    reader.finish()
    return match


def _turn(reader: _ObjectReader, *, aside: bool = False) -> Turn:
    turn = Turn(
        think=reader.take("think", str, None),
        say=reader.take("say", str, None),
        call=[_call(child) for child in reader.children("call")],
        stop=reader.take("stop", str, None),
        expect=_expect(reader.child("expect")),
        fault=[_fault(child) for child in reader.children("fault")],
        usage=reader.take("usage", dict, {}),
        delay_ms=float(reader.take("delay_ms", int | float, 0)),
        when=reader.texts("when") if aside else (),
    )
    reader.take("about", str | list, None)
    reader.finish()
    if turn.stop is not None and turn.stop not in STOPS:
        raise ScriptError(f"{reader.path}.stop: must be one of {', '.join(STOPS)}")
    if aside and not turn.when:
        raise ScriptError(f"{reader.path}.when: is missing")
    return turn


def _call(reader: _ObjectReader) -> ScriptedToolCall:
    call = ScriptedToolCall(reader.require("tool", str), reader.take("input", dict, {}))
    reader.finish()
    return call


def _expect(reader: _ObjectReader | None) -> Expectation:
    if reader is None:
        return Expectation()
    has_results = reader.take("results", list, None)
    results = None
    if has_results is not None:
        readers = _ObjectReader({"results": has_results}, reader.path).children("results")
        results = [_expected_result(child) for child in readers]
    expect = Expectation(
        results, reader.texts("last_user_contains"), reader.texts("system_contains")
    )
    reader.finish()
    return expect


def _expected_result(reader: _ObjectReader) -> ExpectedResult:
    result = ExpectedResult(reader.take("is_error", bool, None), reader.texts("contains"))
    reader.finish()
    return result


def _fault(reader: _ObjectReader) -> Fault:
    kind = reader.require("kind", str)
    times = reader.take("times", int, 1)
    try:
        return Fault.read(kind, times, reader.rest())
    except ValueError as error:
        raise ScriptError(f"{reader.path}: {error}") from error


def _soak(reader: _ObjectReader | None) -> SoakFaults | None:
    if reader is None:
        return None
    rate = float(reader.require("rate", int | float))
    soak = SoakFaults(rate, [_fault(child) for child in reader.children("faults")])
    reader.finish()
    if not 0 <= rate <= 1 or not soak.faults:
        raise ScriptError(f"{reader.path}: needs a rate from 0 to 1 and at least one fault")
    return soak


def _generate(reader: _ObjectReader) -> GeneratedTurns:
    turns = reader.count("turns", minimum=1)
    size = reader.count("bytes", minimum=0, default=0)
    rest = reader.rest()
    if "tool" in rest:
        rest["call"] = [{"tool": rest.pop("tool"), "input": rest.pop("input", {})}]
    return GeneratedTurns(turns, size, _turn(_ObjectReader(rest, reader.path)))
