"""An agent's turns as lines and as JSON: what it was told, its words, its calls, what they cost."""

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cli.formatting import clean, count, money, name, plural
from cli.wrapping import prose
from contracts import roles
from contracts.model import ModelTurn, Usage
from contracts.spending import AgentOpened
from contracts.tools import FINISH
from domain import ids
from domain.text import Redact, for_people, shown
from infra.kept.turns import Called, LoggedTurn, UserBlock

_SHOWN_LINES = 12
"""Of a text, unless it is asked for whole; the first and the last half of them."""
_LINE_CHARS = 400


class LogView:
    """Lines of turns; foreign text is harmless to a terminal and has no secrets.

    Args:
        whole: show every text whole, and the arguments of every call.
        width: of the terminal; 0 where there is none.
    """

    def __init__(self, *, whole: bool, redact: Redact, width: int = 0) -> None:
        self._whole = whole
        self._redact = redact
        self._width = width

    def lines(self, turn: LoggedTurn) -> list[str]:
        """Return the lines of one turn, a blank one at the end."""
        return prose(self._lines(turn), self._width)

    def _lines(self, turn: LoggedTurn) -> list[str]:
        if turn.turn is None and turn.from_turn:
            return [*self._goes_on(turn), ""]
        if turn.turn is None:
            return [f"== {_who(turn)} {begins(turn.agent)}", *self._opening(turn), ""]
        window = f"window {turn.agent.window + 1} " if turn.agent.window else ""
        undone = ", undone" if turn.undone else ""
        place = f"{window}turn {turn.number}{undone}{_clock(turn.at)}"
        parts = [f"-- {_who(turn)} {place}: {figures(turn.turn)}"]
        if turn.damage:
            parts.append(f"  CHECKPOINT_CORRUPTION: {clean(turn.damage, 500)}")
        for told in turn.told:
            parts += self._told(told, sent_back=turn.sent_back)
        parts += self._text(turn.says, "  ")
        for call in turn.calls:
            parts += self._call(call)
        return [*parts, *self._handed_in(turn), ""]

    def _opening(self, turn: LoggedTurn) -> Iterator[str]:
        if self._whole:
            for told in turn.told:
                yield from self._text(told.text, "  | ")
        else:
            size = sum(len(told.text) for told in turn.told)
            yield f"  told its task in {size:,} characters (--full shows them)"

    def _goes_on(self, turn: LoggedTurn) -> Iterator[str]:
        """Give the lines of an agent that goes on from a turn of another one's conversation."""
        continues = turn.agent.continues
        kind = f" ({continues.kind.value})" if continues else ""
        yield f"== {_who(turn)} goes on from turn {turn.from_turn}{kind}{_clock(turn.at)}"
        if turn.damage:
            yield f"  {clean(turn.damage, 600)}"
        for told in turn.told:
            yield from self._text(told.text, "     | ")

    def output(self, told: UserBlock) -> list[str]:
        """Return the lines of what one call came to."""
        return list(self._told(told, sent_back=False))

    def _told(self, told: UserBlock, *, sent_back: bool) -> Iterator[str]:
        if told.call:
            failed = ", which failed" if told.is_error else ""
            yield f"  <- {self._line(told.call)}{failed}"
        else:
            yield "  sent back:" if sent_back else "  told:"
        yield from self._text(told.text, "     | ")

    def _call(self, call: Called) -> Iterator[str]:
        if call.name == FINISH and not call.problem:
            return
        yield f"  -> {self._line(f'{call.name} {call.subject}')}"
        if call.problem:
            said = "refused" if call.name == FINISH else "not run"
            yield from self._text(f"{said}: {call.problem}", "     ! ")
        if self._whole:
            arguments = json.dumps(call.arguments, indent=1, ensure_ascii=False)
            yield from self._text(arguments.replace("\\n", "\n"), "     | ")

    def _handed_in(self, turn: LoggedTurn) -> Iterator[str]:
        given = turn.handed_in
        if given is None:
            return
        yield f"  => {_verdict(turn.agent.role, given)}"
        yield from self._text(str(given.get("summary", "")), "     ")
        for each in _mappings(given.get("findings")):
            place = ":".join(str(each[key]) for key in ("path", "line") if each.get(key))
            title = f"P{each.get('priority')} {place} {each.get('title', '')}"
            yield f"     {self._line(title)}"
            yield from self._text(str(each.get("detail", "")), "        ")
        for each in _mappings(given.get("tasks")):
            task = f"{each.get('id')}: {each.get('title')}"
            yield f"     {self._line(task)}"

    def _line(self, text: str) -> str:
        return shown(text, _LINE_CHARS, self._redact)

    def _text(self, text: str, indent: str) -> list[str]:
        """Return a foreign text as lines: the first and the last of a long one."""
        lines = self._redact(for_people(text, len(text))).strip("\n").split("\n")
        lines = [line.rstrip() for line in lines if line.strip() or self._whole]
        hidden = len(lines) - _SHOWN_LINES
        if hidden > 0 and not self._whole:
            half = _SHOWN_LINES // 2
            lines = [*lines[:half], f"... {hidden} more lines ...", *lines[-half:]]
        cut = lines if self._whole else [line[:_LINE_CHARS] for line in lines]
        return [f"{indent}{line}".rstrip() for line in cut]


def begins(agent: AgentOpened) -> str:
    """Return how a conversation begins: an attempt, or a window of an agent and why."""
    attempt = ids.attempt_of(agent.agent)
    when = f" in attempt {attempt}" if attempt > 1 else ""
    if agent.window:
        return f"goes on in window {agent.window + 1}{when}: {clean(agent.because, 100)}"
    return f"begins{when}"


def _who(turn: LoggedTurn) -> str:
    role, task = turn.agent.role, turn.agent.task
    return f"{name(task)} {name(role)}" if task else name(role)


def _clock(at: float) -> str:
    return f" at {dt.datetime.fromtimestamp(at).astimezone():%H:%M:%S}" if at else ""


def figures(turn: ModelTurn) -> str:
    """Return what a turn cost: model, dollars, tokens."""
    used = turn.usage
    cached = f" ({count(used.cache_read_tokens)} from the cache)" if used.cache_read_tokens else ""
    lost = f", discarded ({clean(turn.stop_reason, 60)})" if turn.discarded else ""
    return (
        f"{clean(turn.model, 80)}, {money(turn.cost_microusd / 1e6)}, "
        f"{count(used.context_tokens)} tokens in{cached}, {count(used.output_tokens)} out{lost}"
    )


def _verdict(role: str, given: Mapping[str, Any]) -> str:
    match role:
        case roles.REVIEWER:
            return f"verdict: {clean(str(given.get('verdict', '')), 40)}"
        case roles.PLANNER:
            return f"a plan of {plural(len(_mappings(given.get('tasks'))), 'task')}"
        case _:
            return "blocked" if given.get("blocked") else "hands in its work"


def _mappings(value: object) -> Sequence[Mapping[str, Any]]:
    found = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
    return [each for each in found if isinstance(each, Mapping)]


def document(turn: LoggedTurn, redact: Redact) -> dict[str, object]:
    """Return what `log --json` prints of one turn; keys may be added, none is renamed."""
    made = turn.turn
    found: dict[str, object] = {
        "at": turn.at,
        "role": turn.agent.role,
        "task": turn.agent.task,
        "agent": turn.agent.agent,
        "turn": turn.number,
        "window": turn.agent.window + 1,
        "because": turn.agent.because,
        "model": made.model if made else "",
        "cost_usd": made.cost_microusd / 1e6 if made else 0.0,
        "usage": (made.usage if made else Usage()).model_dump(),
        "discarded": bool(made and made.discarded),
        "sent_back": turn.sent_back,
        "told": [
            {"call": told.call, "is_error": told.is_error, "text": told.text} for told in turn.told
        ],
        "says": turn.says,
        "calls": [
            {
                "tool": call.name,
                "subject": call.subject,
                "arguments": call.arguments,
                "problem": call.problem,
            }
            for call in turn.calls
        ],
        "handed_in": turn.handed_in,
        "undone": turn.undone,
        "damage": turn.damage,
    }
    return redacted(found, redact)


def redacted(found: Mapping[str, object], redact: Redact) -> dict[str, object]:
    """Return a document without secrets in any of its texts."""
    cleaned: dict[str, object] = _redacted(found, redact)
    return cleaned


def _redacted(value: Any, redact: Redact) -> Any:  # noqa: ANN401, RUF100 - any part of a document
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: _redacted(each, redact) for key, each in value.items()}
    return [_redacted(each, redact) for each in value] if isinstance(value, list | tuple) else value
