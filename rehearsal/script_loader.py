"""Reading a script from its JSON file.

An unknown key is refused with its name and path,
so that a misspelt expectation is never silently skipped.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable
from typing import Any, Final, TypeVar

from rehearsal import models
from rehearsal.faults import Fault
from rehearsal.placeholders import mistakes
from rehearsal.script import (
    AgentIdentity,
    Conversation,
    ConversationMatch,
    Expectation,
    ExpectedResult,
    GeneratedTurns,
    RateLimit,
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
        return read(json.loads(path.read_text(encoding="utf-8")))
    except ScriptError as error:
        raise ScriptError(f"{path}: {error}") from error
    except ValueError as error:
        raise ScriptError(f"{path}: not JSON: {error}") from error


def read(data: object) -> Script:
    """Read a script from parsed JSON.

    Raises:
        ScriptError: it is not a valid script; the text names the path.
    """
    script = _ScriptObject(data, "script").read(_script)
    try:
        models.table(script.models)
    except (ValueError, TypeError) as error:
        raise ScriptError(f"script: {error}") from error
    if not script.casts and script.toolless is None:
        raise ScriptError("script: needs at least one cast")
    return script


_Value = TypeVar("_Value")


class _ScriptObject:
    """A JSON object being read: each key is taken once; a key that is left over is a mistake."""

    def __init__(self, data: object, path: str) -> None:
        if not isinstance(data, dict):
            raise ScriptError(f"{path}: must be an object")
        self.path = path
        self._unread = dict(data)

    def read(self, parse: "_Parser[_Value]") -> _Value:
        """Return what a parser makes of the whole object."""
        value = parse(self)
        if self._unread:
            raise ScriptError(f"{self.path}: unknown keys {sorted(self._unread)}")
        return value

    def has(self, key: str) -> bool:
        return self._unread.get(key) is not None

    def take(self, key: str, kind: Any, default: Any = None) -> Any:
        value = self._unread.pop(key, None)
        if value is None:
            return default
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ScriptError(f"{self.path}.{key}: wrong type {type(value).__name__}")
        return value

    def require(self, key: str, kind: Any) -> Any:
        value = self.take(key, kind)
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

    def child(self, key: str, parse: "_Parser[_Value]") -> _Value | None:
        value = self._unread.pop(key, None)
        return None if value is None else _ScriptObject(value, f"{self.path}.{key}").read(parse)

    def children(self, key: str, parse: "_Parser[_Value]") -> list[_Value]:
        values = enumerate(self.take(key, list, []))
        return [_ScriptObject(value, f"{self.path}.{key}[{i}]").read(parse) for i, value in values]

    def rest(self) -> dict[str, Any]:
        rest, self._unread = self._unread, {}
        return rest


_Parser = Callable[[_ScriptObject], _Value]


def _script(source: _ScriptObject) -> Script:
    source.take("$schema", str)
    source.take("about", str | list)
    return Script(
        casts=source.children("casts", _cast),
        seed=source.take("seed", int, 0),
        models=source.take("models", dict, {}),
        soak=source.child("soak", _soak),
        limit=source.child("limit", _limit),
        toolless=source.take("toolless", str),
    )


def _cast(source: _ScriptObject) -> Conversation:
    source.take("about", str | list)
    return Conversation(
        match=source.child("match", _match) or ConversationMatch(),
        turns=source.children("turns", _turn),
        generate=source.child("generate", _generate),
        finish=source.children("finish", _turn),
        asides=source.children("asides", _aside),
        offset=source.count("offset", minimum=0, default=0),
    )


def _match(source: _ScriptObject) -> ConversationMatch:
    fields = [field.name for field in dataclasses.fields(AgentIdentity)]
    found = {name: source.take(name, str | int) for name in fields}
    return ConversationMatch(
        names={name: str(value) for name, value in found.items() if value is not None},
        model=source.take("model", str, "*"),
        contains=source.texts("contains"),
        system_contains=source.texts("system_contains"),
    )


def _turn(source: _ScriptObject) -> Turn:
    source.take("about", str | list)
    stop = source.take("stop", str)
    if stop is not None and stop not in STOPS:
        raise ScriptError(f"{source.path}.stop: must be one of {', '.join(STOPS)}")
    return Turn(
        think=_filled(source, "think", source.take("think", str)),
        say=_filled(source, "say", source.take("say", str)),
        call=source.children("call", _call),
        stop=stop,
        expect=source.child("expect", _expect) or Expectation(),
        fault=source.children("fault", _fault),
        usage=source.take("usage", dict, {}),
        delay_ms=float(source.take("delay_ms", int | float, 0)),
    )


def _aside(source: _ScriptObject) -> Turn:
    when = source.texts("when")
    if not when:
        raise ScriptError(f"{source.path}.when: is missing")
    return dataclasses.replace(_turn(source), when=when)


def _call(source: _ScriptObject) -> ScriptedToolCall:
    return ScriptedToolCall(
        source.require("tool", str),
        _filled(source, "input", source.take("input", object, {})),
        source.take("id", str),
    )


def _filled(source: _ScriptObject, key: str, value: Any) -> Any:
    """Return a value that will be filled in; refuse one with placeholders that mean nothing."""
    names = [field.name for field in dataclasses.fields(AgentIdentity)]
    for mistake in mistakes(value, names):
        raise ScriptError(f"{source.path}.{key}: {mistake}")
    return value


def _expect(source: _ScriptObject) -> Expectation:
    return Expectation(
        source.children("results", _expected_result) if source.has("results") else None,
        source.texts("last_user_contains"),
        source.texts("system_contains"),
    )


def _expected_result(source: _ScriptObject) -> ExpectedResult:
    return ExpectedResult(source.take("is_error", bool), source.texts("contains"))


def _fault(source: _ScriptObject) -> Fault:
    kind = source.require("kind", str)
    times = source.take("times", int, 1)
    try:
        return Fault.read(kind, times, source.rest())
    except ValueError as error:
        raise ScriptError(f"{source.path}: {error}") from error


def _soak(source: _ScriptObject) -> SoakFaults:
    rate = float(source.require("rate", int | float))
    soak = SoakFaults(rate, source.children("faults", _fault))
    if not 0 <= rate <= 1 or not soak.faults:
        raise ScriptError(f"{source.path}: needs a rate from 0 to 1 and at least one fault")
    return soak


def _limit(source: _ScriptObject) -> RateLimit:
    retry_after = float(source.take("retry_after", int | float, 1.0))
    if retry_after < 0:
        raise ScriptError(f"{source.path}.retry_after: must be at least 0")
    return RateLimit(source.count("at_once", minimum=1), retry_after)


def _generate(source: _ScriptObject) -> GeneratedTurns:
    turns = source.count("turns", minimum=1)
    size = source.count("bytes", minimum=0, default=0)
    rest = source.rest()
    if "tool" in rest:
        rest["call"] = [{"tool": rest.pop("tool"), "input": rest.pop("input", {})}]
    return GeneratedTurns(turns, size, _ScriptObject(rest, source.path).read(_turn))
