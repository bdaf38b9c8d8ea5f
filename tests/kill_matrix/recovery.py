"""
How soon the work goes on after a blow, read from the histories.

All times are the server's; it runs on the same clock as the striker.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from temporalio.api.history.v1 import HistoryEvent

from tests.kill_matrix.following import History, attributes_of, every_event, kind_of, seconds_of
from tests.kill_matrix.kill_points import Kill

_STEPS = {"WORKFLOW_TASK_COMPLETED", "ACTIVITY_TASK_COMPLETED"}
"""Events that a worker's finished work brings about."""


@dataclass(frozen=True)
class Recovery:
    """
    What followed one blow, in seconds after what was struck was back.

    Attributes:
        first: until any step was finished; None when the request had ended.
        last: until the last step that was under way at the blow had been begun again; None when
            none was, or when another blow fell before.
    """

    blow: Kill
    first: float | None
    last: float | None


def recoveries(blows: Sequence[Kill], histories: Sequence[History]) -> list[Recovery]:
    """Return what followed each blow after which something had to come back."""
    events = list(every_event(histories))
    falls = [blow.time for blow in blows]
    found = []
    for blow in blows:
        if blow.up is None:
            continue
        until = min((fall for fall in falls if fall > blow.time), default=float("inf"))
        found.append(Recovery(blow, _first(events, blow, until), _last(events, blow, until)))
    return found


def _first(
    events: Sequence[tuple[History, HistoryEvent]], blow: Kill, until: float
) -> float | None:
    assert blow.up is not None
    after = min(
        (
            seconds_of(event)
            for _, event in events
            if kind_of(event) in _STEPS and seconds_of(event) > (blow.gone or blow.time)
        ),
        default=None,
    )
    if after is None or after > until:
        return None
    return max(after - blow.up, 0.0)


def _last(events: Sequence[tuple[History, HistoryEvent]], blow: Kill, until: float) -> float | None:
    """Return when the last activity that was open at the blow was begun again."""
    assert blow.up is not None
    begun = []
    for history, event in events:
        if kind_of(event) != "ACTIVITY_TASK_STARTED":
            continue
        scheduled = seconds_of(history.scheduled(event))
        started = seconds_of(event)
        closed = _closed(history, event)
        if scheduled < blow.time < closed and started > blow.time:
            if started > until:
                return None
            begun.append(started - blow.up)
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
