"""How soon the work continues after a kill, read from the histories.

All times are the server's; it runs on the same clock as the fault injector.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from temporalio.api.history.v1 import HistoryEvent

from tests.kill_matrix.fault_injector import Kill
from tests.kill_matrix.history_follower import (
    History,
    attributes_of,
    every_event,
    kind_of,
    seconds_of,
)

_STEPS = {"WORKFLOW_TASK_COMPLETED", "ACTIVITY_TASK_COMPLETED"}
"""Events that a worker's finished work brings about."""


@dataclass(frozen=True)
class Recovery:
    """What followed one kill, in seconds after what was killed was back.

    Attributes:
        first: until any step was finished; None when the request had ended.
        last: until the last activity that was interrupted by the kill was started again; None when
            none was, or when another kill came before.
    """

    kill: Kill
    first: float | None
    last: float | None


def recoveries(kills: Sequence[Kill], histories: Sequence[History]) -> list[Recovery]:
    """Return what followed each kill after which something had to come back."""
    events = list(every_event(histories))
    times = [kill.time for kill in kills]
    found = []
    for kill in kills:
        if kill.up is None:
            continue
        until = min((time for time in times if time > kill.time), default=float("inf"))
        found.append(Recovery(kill, _first(events, kill, until), _last(events, kill, until)))
    return found


def _first(
    events: Sequence[tuple[History, HistoryEvent]], kill: Kill, until: float
) -> float | None:
    assert kill.up is not None
    after = min(
        (
            seconds_of(event)
            for _, event in events
            if kind_of(event) in _STEPS and seconds_of(event) > (kill.gone or kill.time)
        ),
        default=None,
    )
    if after is None or after > until:
        return None
    return max(after - kill.up, 0.0)


def _last(events: Sequence[tuple[History, HistoryEvent]], kill: Kill, until: float) -> float | None:
    """Return when the last activity that was open at the kill was begun again."""
    assert kill.up is not None
    begun = []
    for history, event in events:
        if kind_of(event) != "ACTIVITY_TASK_STARTED":
            continue
        scheduled = seconds_of(history.scheduled(event))
        started = seconds_of(event)
        closed = _closed(history, event)
        if scheduled < kill.time < closed and started > kill.time:
            if started > until:
                return None
            begun.append(started - kill.up)
    return max(*begun, 0.0) if begun else None


def _closed(history: History, started: HistoryEvent) -> float:
    """Return when an activity's end was written."""
    for event in history.events[started.event_id :]:
        if (
            kind_of(event).startswith("ACTIVITY_TASK_")
            and kind_of(event) != "ACTIVITY_TASK_SCHEDULED"
        ):
            attributes = attributes_of(event)
            if getattr(attributes, "started_event_id", 0) == started.event_id:
                return seconds_of(event)
    return float("inf")
