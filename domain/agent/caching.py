"""How long a conversation's end is kept in the prompt cache, and what a miss means.

An hour costs 0.75 of the input price more for each token written; a miss costs the whole prefix
again. From about one miss in a window on, the hour is cheaper.
"""

from collections.abc import Sequence

from contracts.model import ToolUse
from contracts.verdicts import Permission

SHORT_SECONDS = 300.0
"""So long an entry is kept that is not marked for an hour, from the start of its request."""
_MARGIN_SECONDS = 30.0
EXPIRED = "expired"
"""A miss of which the service says that nothing had changed."""
_CHANGED = "_changed"
_MISS_SHARE = 0.5
_SMALL_TOKENS = 4_096
"""Below this some models cache nothing."""


def pauses_long(uses: Sequence[ToolUse], seconds: float) -> bool:
    """Return whether a turn pauses for longer than the cache keeps an unmarked end.

    A turn that asks a person does. `seconds`: from the start of its request to the next one's.
    """
    asks = any(use.verdict and use.verdict.permission is Permission.ASK for use in uses)
    return asks or seconds > SHORT_SECONDS - _MARGIN_SECONDS


def is_change(reason: str) -> bool:
    """Return whether the service says that our own prefix has changed: a bug of ours."""
    return reason.endswith(_CHANGED)


def miss(reason: str, *, read: int, expected: int) -> str:
    """Return why the cache was missed, "" when it was not.

    Args:
        reason: what the service says; "" when it found no change.
        read: tokens read from the cache.
        expected: tokens of the request before, which should have been read.
    """
    if reason:
        return reason
    missed = expected >= _SMALL_TOKENS and read < _MISS_SHARE * expected
    return EXPIRED if missed else ""
