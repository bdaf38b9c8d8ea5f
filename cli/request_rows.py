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


def table(rows: Sequence[RequestRow], *, now: float) -> list[str]:
    """Return requests as lines of a table."""
    if not rows:
        return ["No requests yet."]
    return columns([_COLUMNS, *(_cells(row, now) for row in rows)])


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
