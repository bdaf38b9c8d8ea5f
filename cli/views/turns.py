"""The turns of a task: a table, one of them whole, and JSON."""

import datetime as dt
import json
from collections.abc import Iterator, Sequence

from cli.formatting import clean, columns, count, money, name
from cli.views.log import LogView, document, redacted
from domain.text import Redact, listing, shown
from infra.kept.task_turns import TaskTurn

_COLUMNS = ("TURN", "AT", "WHO", "WHAT", "FILES", "TOKENS", "COST", "CHECKPOINT", "")
_WHAT = _COLUMNS.index("WHAT")
_WHAT_CHARS = 60
_LEAST_WHAT = 12
_LEFT_OUT = (
    ("FILES",),
    ("FILES", "AT"),
    ("FILES", "AT", "TOKENS"),
    ("FILES", "AT", "TOKENS", "CHECKPOINT"),
    ("FILES", "AT", "TOKENS", "CHECKPOINT", "COST"),
)
"""Columns that a narrow terminal does without, the widest table first."""
_OID_CHARS = 10


def table(turns: Sequence[TaskTurn], redact: Redact, *, width: int = 0) -> list[str]:
    """Return the turns of a task as lines of a table.

    `width`: of the terminal, 0 without one. What does not fit is left out, then the calls are cut.
    """
    return fitted([_COLUMNS, *(_cells(turn, redact) for turn in turns)], width)


def fitted(rows: Sequence[tuple[str, ...]], width: int) -> list[str]:
    """Return the rows of a table, its head first, within a width; 0: whole."""
    lines = columns(rows)
    for left_out in _LEFT_OUT if width else ():
        if max(map(len, lines)) <= width:
            break
        places = [place for place, head in enumerate(_COLUMNS) if head not in left_out]
        over = (
            max(len(line) for line in columns([[row[p] for p in places] for row in rows])) - width
        )
        room = max(max(len(row[_WHAT]) for row in rows) - max(over, 0), _LEAST_WHAT)
        lines = columns([[_cell(row, place, room) for place in places] for row in rows])
    return lines


def _cell(row: Sequence[str], place: int, room: int) -> str:
    text = row[place]
    return f"{text[: room - 1]}…" if place == _WHAT and len(text) > room else text


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
