"""How a workflow tries again: by the advice that is recorded with the failure."""

import datetime as dt

from contracts.failures import RetryAdvice

_OFTEN_SECONDS = 600
MOST_DEATHS = 50
"""How often in a row an activity may be lost with its worker before it is given up."""
MOST_MOVES = 20
"""How many worktrees one call may lose, one after the other, before its agent is given up."""


def pause_seconds(advice: RetryAdvice, tries: int, alike: int | None = None) -> float | None:
    """Return how long to wait before trying again, None when waiting does not help.

    `tries` counts those that failed before, `alike` those of them of this kind.
    """
    if not advice.waits or (tries if alike is None else alike) >= advice.most_pauses:
        return None
    if advice.free and advice.pause_seconds:
        return advice.pause_seconds
    return max(min(2.0 ** min(tries, 10), advice.longest_pause_seconds), advice.pause_seconds)


def until(now: dt.datetime, pause: float, *, often: bool) -> str:
    """Return when the next try comes, for people; `often`: again and again after this pause."""
    then = now + dt.timedelta(seconds=pause)
    day = f"{then:%d %B} " if then.date() != now.date() else ""
    at = f"{day}{then:%H:%M:%S} UTC"
    if often and pause <= _OFTEN_SECONDS:
        every = f"{pause:.0f} s" if pause < 120 else f"{pause / 60:.0f} minutes"
        return f"tries again every {every} from {at}"
    return f"waits until {at}"
