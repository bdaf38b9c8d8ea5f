"""How fast the calls of one key may go: additive increase, multiplicative decrease.

All agents of a key share one pace. A rate limit halves how many calls run at once and holds all of
them until the service said; each whole reply lets a little more through. A key or an account that
is refused stops all of them: one call at a time probes whether it is mended. Times are seconds of
one clock that never goes back.
"""

import math
from dataclasses import dataclass, replace

from contracts.failures import FailureKind

MOST_CALLS = 32.0
"""Calls at once while nothing limits them; as many as a worker takes."""
LEAST_CALLS = 1.0
LONGEST_HOLD_SECONDS = 60.0
"""Where the service does not say how long to wait."""
SLOT_SECONDS = 10.0
"""After how long a call asks again that found too many others."""
LONGEST_STOP_SECONDS = 600.0
FALLBACK_SECONDS = 600.0
"""After so long without a reply an overloaded model is left for the fallback model."""
_STOPS = (FailureKind.CREDENTIALS, FailureKind.SPEND_LIMIT)


@dataclass(frozen=True, slots=True)
class Stopped:
    """Why no call goes out: a key or an account that a person must mend.

    Attributes:
        until: then one call probes it.
        seconds: between the probes; they double.
    """

    kind: FailureKind
    says: str
    until: float
    seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Pace:
    """The pace of a key.

    Attributes:
        limit: calls at once.
        hold_until: no call begins before.
        says: what the service said of it.
        slowed: when the limit was last lowered; calls that began before tell nothing new.
        streak: rate limits since the last whole reply.
    """

    limit: float = MOST_CALLS
    hold_until: float = -math.inf
    says: str = ""
    slowed: float = -math.inf
    streak: int = 0
    stopped: Stopped | None = None


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a call does not begin yet.

    Attributes:
        seconds: after which it may; also sooner where it waits for another call's end.
        kind: RATE_LIMITED, or what stopped the key.
    """

    seconds: float
    kind: FailureKind
    says: str


def admit(pace: Pace, *, at_work: int, now: float) -> Pace | Hold:
    """Return the pace after a call that may begin now, or why it may not."""
    if stop := pace.stopped:
        if now < stop.until:
            return Hold(stop.until - now, stop.kind, stop.says)
        # The probe: until it ends, or for as long as between two of them, no other goes out.
        return replace(pace, stopped=replace(stop, until=now + stop.seconds))
    if now < pace.hold_until:
        return Hold(pace.hold_until - now, FailureKind.RATE_LIMITED, pace.says)
    if at_work >= int(pace.limit):
        return Hold(SLOT_SECONDS, FailureKind.RATE_LIMITED, pace.says)
    return pace


def after_reply(pace: Pace) -> Pace:
    """Return the pace after a whole reply: the limit grows by one call for each such round."""
    limit = min(pace.limit + 1 / pace.limit, MOST_CALLS)
    return replace(pace, limit=limit, streak=0, stopped=None)


@dataclass(frozen=True, slots=True)
class Failed:
    """A call that failed.

    Attributes:
        began, now: when it began and failed.
        at_work: calls that ran then, this one included.
        asked: seconds that the service asks to wait, None when it does not say.
    """

    kind: FailureKind
    says: str
    began: float
    now: float
    at_work: int = 1
    asked: float | None = None


def after_failure(pace: Pace, failed: Failed) -> Pace:
    """Return the pace after a call that failed."""
    kind, now = failed.kind, failed.now
    if kind is FailureKind.RATE_LIMITED:
        return _slower(pace, failed)
    if kind in _STOPS:
        seconds = pace.stopped.seconds * 2 if pace.stopped else 1.0
        seconds = min(seconds, LONGEST_STOP_SECONDS)
        return replace(pace, stopped=Stopped(kind, failed.says, now + seconds, seconds))
    if failed.asked:
        until = max(pace.hold_until, now + failed.asked)
        return replace(pace, hold_until=until, says=failed.says)
    return pace


def _slower(pace: Pace, failed: Failed) -> Pace:
    """Return a slower pace: half of the calls that ran, once for those that ran together."""
    now, fresh = failed.now, failed.began >= pace.slowed
    streak = pace.streak + fresh
    own = min(2.0 ** max(streak - 1, 0), LONGEST_HOLD_SECONDS)
    hold = now + (own if failed.asked is None else failed.asked)
    half = max(min(pace.limit, failed.at_work) / 2, LEAST_CALLS)
    return replace(
        pace,
        limit=half if fresh else pace.limit,
        slowed=now if fresh else pace.slowed,
        streak=streak,
        hold_until=max(pace.hold_until, hold),
        says=failed.says,
        stopped=None,
    )
