"""The turns of a task: a table, one of them whole, and JSON."""

import datetime as dt
import json
from collections.abc import Iterator, Sequence

from cli.formatting import clean, columns, count, money, name
from cli.views.log import LogView, document, redacted
from domain.text import Redact, listing, shown
from infra.kept.task_turns import TaskTurn

_COLUMNS = ("TURN", "AT", "WHO", "WHAT", "FILES", "TOKENS", "COST", "CHECKPOINT", "")
_WHAT_CHARS = 60
_OID_CHARS = 10


def table(turns: Sequence[TaskTurn], redact: Redact) -> list[str]:
    """Return the turns of a task as lines of a table."""
    return columns([_COLUMNS, *(_cells(turn, redact) for turn in turns)])


def _cells(turn: TaskTurn, redact: Redact) -> tuple[str, ...]:
    logged = turn.logged
    made = logged.turn
    return (
        str(turn.number),
        f"{dt.datetime.fromtimestamp(logged.at).astimezone():%H:%M:%S}" if logged.at else "",
        name(logged.agent.role),
        shown(_what(turn), _WHAT_CHARS, redact),
        shown(listing(turn.files, most=2), _WHAT_CHARS, redact),
        count(made.usage.total_tokens) if made else "",
        money(made.cost_microusd / 1e6) if made else "",
        (turn.checkpoint or "")[:_OID_CHARS],
        mark(turn),
    )


def mark(turn: TaskTurn) -> str:
    """Return what sets a turn apart from the others, in words; "" for nothing."""
    made = turn.logged.turn
    found = (
        turn.damage and "CHECKPOINT_CORRUPTION",
        turn.undone and "undone",
        made and made.discarded and "discarded",
    )
    return ", ".join(word for word in found if word)


def _what(turn: TaskTurn) -> str:
    calls = [f"{call.name} {call.subject}".strip() for call in turn.logged.calls]
    return "; ".join(calls) or turn.logged.says or "nothing"


def whole(turn: TaskTurn, *, full: bool, redact: Redact) -> Iterator[str]:
    """Give the lines of one turn: its words, calls and outputs; its diff comes after them."""
    view = LogView(whole=full, redact=redact)
    title = f"# turn {turn.number} of {name(turn.logged.agent.task)}"
    yield f"{title} ({mark(turn)})" if mark(turn) else title
    if turn.damage:
        yield f"# damaged: {clean(turn.damage, 500)}"
    yield from (line for line in view.lines(turn.logged) if line)
    for output in turn.outputs:
        yield from view.output(output)
    if turn.checkpoint:
        yield f"# checkpoint {turn.checkpoint}: {listing(turn.files, most=20) or 'as before'}"


def turn_document(turn: TaskTurn, redact: Redact) -> dict[str, object]:
    """Return what `turns --json` prints of one turn; keys may be added, none is renamed."""
    found: dict[str, object] = {
        **document(turn.logged, redact),
        "number": turn.number,
        "commit": turn.commit,
        "checkpoint": turn.checkpoint,
        "files": list(turn.files),
        "outputs": [
            {"call": each.call, "is_error": each.is_error, "text": each.text}
            for each in turn.outputs
        ],
        "undone": turn.undone,
        "damage": turn.damage,
    }
    return redacted(found, redact)


def as_json(turns: Sequence[TaskTurn], redact: Redact) -> str:
    """Return the turns as a JSON array."""
    documents = [turn_document(turn, redact) for turn in turns]
    return json.dumps(documents, indent=2, ensure_ascii=False)
