"""Requests as rows of a table, from what the service knows of them; nothing heavy is imported."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from cli.command_words import short_id
from cli.formatting import age, columns, money, name, span
from contracts.run_state import RunState


class Listed(Protocol):
    """A run of a request, however it was listed."""

    @property
    def id(self) -> str:
        """The request's workflow id."""

    @property
    def refused(self) -> bool:
        """Whether nothing was made of it."""


_Listed = TypeVar("_Listed", bound=Listed)
SHOWN = 50
"""How many requests `list` shows unless it is asked for all: each costs the server time."""
_COLUMNS = ("REQUEST", "STATE", "WAITS FOR YOU", "AGE", "TOOK", "COST", "REPOSITORY")
_LEFT_OUT = (
    (),
    ("TOOK",),
    ("TOOK", "AGE"),
    ("TOOK", "REPOSITORY"),
    ("TOOK", "REPOSITORY", "AGE"),
    ("TOOK", "REPOSITORY", "AGE", "COST"),
    ("TOOK", "REPOSITORY", "AGE", "COST", "WAITS FOR YOU"),
)
"""Columns that a narrow terminal does not show, the first that fit."""
_LEAST_PATH = 10
_LEAST_NAME = 12
_ENDED = (RunState.DONE, RunState.FAILED, RunState.CANCELLED)


@dataclass(frozen=True)
class RequestRow:
    """One request of a list.

    Attributes:
        state: a RunState value.
        pending: how many approvals it waits for.
        started, closed: seconds since 1970; closed is None while it is open.
    """

    id: str
    state: str
    pending: int
    started: float
    closed: float | None
    repository: str
    cost_usd: float


def shown(found: Sequence[_Listed], *, whole: bool) -> list[_Listed]:
    """Return the newest run of each request, without those that were refused unless all is asked.

    One that was retried has a run for each attempt; the newest stands first.
    """
    newest: dict[str, _Listed] = {}
    for each in found:
        if whole or not each.refused:
            newest.setdefault(each.id, each)
    return list(newest.values())


def table(rows: Sequence[RequestRow], *, now: float, width: int = 0) -> list[str]:
    """Return requests as lines of a table.

    `width`: of the terminal, 0 where there is none. What does not fit is shortened, the repository
    from its beginning, then left out; the requests' states stay, and what of their names there is
    room for: any beginning that is no other request's too names one.
    """
    if not rows:
        return ["No requests yet."]
    cells = [_COLUMNS, *(_cells(row, now) for row in rows)]
    lines = columns(cells)
    for left_out in _LEFT_OUT if width else ():
        lines = _within(cells, left_out, width)
        over = max(map(len, lines)) - width
        if over <= 0:
            return lines
        if left_out is _LEFT_OUT[-1]:
            room = max(max(len(row[0]) for row in cells) - over, _LEAST_NAME)
            cut = [(_beginning_of(row[0], room), *row[1:]) for row in cells]
            return _within(cut, left_out, width)
    return lines


def _within(cells: Sequence[tuple[str, ...]], left_out: Sequence[str], width: int) -> list[str]:
    """Return a table without some columns, its last one in what the others leave of a width."""
    places = [place for place, head in enumerate(_COLUMNS[:-1]) if head not in left_out]
    rows = [tuple(row[place] for place in places) for row in cells]
    if _COLUMNS[-1] in left_out:
        return columns(rows)
    room = max(width - max(map(len, columns(rows))) - 2, _LEAST_PATH)
    return columns([(*row, _end_of(each[-1], room)) for row, each in zip(rows, cells, strict=True)])


def _beginning_of(text: str, room: int) -> str:
    return text if len(text) <= room else f"{text[: room - 1]}…"


def _end_of(path: str, room: int) -> str:
    return path if len(path) <= room else f"…{path[1 - room :]}"


def not_shown(shown: int, total: int, command: str) -> list[str]:
    """Return a line that says how many requests a list leaves out, and the command for all."""
    if shown >= total:
        return []
    return [f"orchestcode: {total - shown} more that ended earlier; list all with: {command}"]


def _cells(row: RequestRow, now: float) -> tuple[str, ...]:
    end = now if row.closed is None else row.closed
    return (
        name(short_id(row.id)),
        row.state,
        str(row.pending) if row.pending else "",
        age(now - row.started),
        span(max(end - row.started, 0.0)),
        money(row.cost_usd),
        name(row.repository),
    )


def state_of(status: str, reported: str | None) -> RunState:
    """Return a request's state from Temporal's name of its status and the state reported last."""
    state = RunState(reported) if reported in set(RunState) else RunState.RUNNING
    match status:
        case "COMPLETED":
            return state if state in _ENDED else RunState.DONE
        case "CANCELED":
            return RunState.CANCELLED
        case "FAILED" | "TERMINATED" | "TIMED_OUT":
            return RunState.FAILED
        case _:
            return state


def key_in(salvage_command: str) -> str:
    """Return the folder of a request's refs, as the command names it that lists them."""
    return salvage_command.rpartition("refs/oc/")[2].rstrip("/")
