"""
Reading a script from its JSON file.

Every key is known or refused, by name and place,
so that a misspelt expectation cannot pass for a fulfilled one.
"""

import dataclasses
import json
import pathlib
from typing import Any, Final

from rehearsal import models
from rehearsal.faults import Fault
from rehearsal.script import (
    Agent,
    Conversation,
    Expect,
    ExpectedResult,
    Generate,
    Match,
    Script,
    Soak,
    ToolCall,
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
"""Stop reasons that a turn may script; pause_turn is a fault, since its rest must follow."""


class ScriptError(ValueError):
    """A script that cannot be played, with the place of the mistake."""


def load(path: pathlib.Path) -> Script:
    """
    Read a script file.

    Raises:
        ScriptError: it is not JSON, or not a script; the text names the place.
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
    """
    Read a script from parsed JSON.

    Raises:
        ScriptError: it is not a script; the text names the place.
    """
    form = _Form(data, "script")
    script = Script(
        casts=[_cast(one) for one in form.forms("casts")],
        seed=form.take("seed", int, 0),
        models=form.take("models", dict, {}),
        soak=_soak(form.form("soak")),
        toolless=form.take("toolless", str, None),
    )
    form.take("$schema", str, None)
    form.take("about", str | list, None)
    form.done()
    try:
        models.table(script.models)
    except (ValueError, TypeError) as error:
        raise ScriptError(f"script: {error}") from error
    if not script.casts and script.toolless is None:
        raise ScriptError("script: needs at least one cast")
    return script


class _Form:
    """A JSON object being read: every key is taken once, what is left over is a mistake."""

    def __init__(self, data: object, path: str) -> None:
        if not isinstance(data, dict):
            raise ScriptError(f"{path}: must be an object")
        self.path = path
        self._left = dict(data)

    def take(self, key: str, kind: Any, default: Any) -> Any:
        value = self._left.pop(key, None)
        if value is None:
            return default
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ScriptError(f"{self.path}.{key}: wrong type {type(value).__name__}")
        return value

    def need(self, key: str, kind: Any) -> Any:
        value = self.take(key, kind, None)
        if value is None:
            raise ScriptError(f"{self.path}.{key}: is missing")
        return value

    def count(self, key: str, *, least: int, default: int | None = None) -> int:
        value = int(self.need(key, int) if default is None else self.take(key, int, default))
        if value < least:
            raise ScriptError(f"{self.path}.{key}: must be at least {least}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.take(key, str | list, [])
        texts = [value] if isinstance(value, str) else value
        if not all(isinstance(text, str) for text in texts):
            raise ScriptError(f"{self.path}.{key}: must be a text or a list of texts")
        return tuple(texts)

    def form(self, key: str) -> "_Form | None":
        value = self._left.pop(key, None)
        return None if value is None else _Form(value, f"{self.path}.{key}")

    def forms(self, key: str) -> list["_Form"]:
        value = self.take(key, list, [])
        return [_Form(one, f"{self.path}.{key}[{i}]") for i, one in enumerate(value)]

    def rest(self) -> dict[str, Any]:
        left, self._left = self._left, {}
        return left

    def done(self) -> None:
        if self._left:
            raise ScriptError(f"{self.path}: unknown keys {sorted(self._left)}")


def _cast(form: _Form) -> Conversation:
    generate = form.form("generate")
    cast = Conversation(
        match=_match(form.form("match")),
        turns=[_turn(one) for one in form.forms("turns")],
        generate=None if generate is None else _generate(generate),
        finish=[_turn(one) for one in form.forms("finish")],
        asides=[_turn(one, aside=True) for one in form.forms("asides")],
        offset=form.count("offset", least=0, default=0),
    )
    form.take("about", str | list, None)
    form.done()
    return cast


def _match(form: _Form | None) -> Match:
    if form is None:
        return Match()
    names = {}
    for field in dataclasses.fields(Agent):
        value = form.take(field.name, str | int, None)
        if value is not None:
            names[field.name] = str(value)
    match = Match(
        names=names,
        model=form.take("model", str, "*"),
        contains=form.texts("contains"),
        system_contains=form.texts("system_contains"),
    )
    form.done()
    return match


def _turn(form: _Form, *, aside: bool = False) -> Turn:
    turn = Turn(
        think=form.take("think", str, None),
        say=form.take("say", str, None),
        call=[_call(one) for one in form.forms("call")],
        stop=form.take("stop", str, None),
        expect=_expect(form.form("expect")),
        fault=[_fault(one) for one in form.forms("fault")],
        usage=form.take("usage", dict, {}),
        delay_ms=float(form.take("delay_ms", int | float, 0)),
        when=form.texts("when") if aside else (),
    )
    form.take("about", str | list, None)
    form.done()
    if turn.stop is not None and turn.stop not in STOPS:
        raise ScriptError(f"{form.path}.stop: must be one of {', '.join(STOPS)}")
    if aside and not turn.when:
        raise ScriptError(f"{form.path}.when: is missing")
    return turn


def _call(form: _Form) -> ToolCall:
    call = ToolCall(form.need("tool", str), form.take("input", dict, {}))
    form.done()
    return call


def _expect(form: _Form | None) -> Expect:
    if form is None:
        return Expect()
    has_results = form.take("results", list, None)
    results = None
    if has_results is not None:
        forms = _Form({"results": has_results}, form.path).forms("results")
        results = [_expected_result(one) for one in forms]
    expect = Expect(results, form.texts("last_user_contains"), form.texts("system_contains"))
    form.done()
    return expect


def _expected_result(form: _Form) -> ExpectedResult:
    result = ExpectedResult(form.take("is_error", bool, None), form.texts("contains"))
    form.done()
    return result


def _fault(form: _Form) -> Fault:
    kind = form.need("kind", str)
    times = form.take("times", int, 1)
    try:
        return Fault.read(kind, times, form.rest())
    except ValueError as error:
        raise ScriptError(f"{form.path}: {error}") from error


def _soak(form: _Form | None) -> Soak | None:
    if form is None:
        return None
    rate = float(form.need("rate", int | float))
    soak = Soak(rate, [_fault(one) for one in form.forms("faults")])
    form.done()
    if not 0 <= rate <= 1 or not soak.faults:
        raise ScriptError(f"{form.path}: needs a rate from 0 to 1 and at least one fault")
    return soak


def _generate(form: _Form) -> Generate:
    turns = form.count("turns", least=1)
    size = form.count("bytes", least=0, default=0)
    rest = form.rest()
    if "tool" in rest:
        rest["call"] = [{"tool": rest.pop("tool"), "input": rest.pop("input", {})}]
    return Generate(turns, size, _turn(_Form(rest, form.path)))
