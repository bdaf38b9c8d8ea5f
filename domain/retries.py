"""How a workflow tries again: by the advice that is recorded with the failure."""

from contracts.failures import RetryAdvice

MOST_DEATHS = 50
"""How often in a row an activity may be lost with its worker before it is given up."""
MOST_MOVES = 20
"""How many worktrees one call may lose, one after the other, before its agent is given up."""


def pause_seconds(advice: RetryAdvice, tries: int) -> float | None:
    """Return how long to wait before trying again, None when waiting does not help."""
    if not advice.waits or tries >= advice.most_pauses:
        return None
    return min(2.0 ** min(tries, 10), advice.longest_pause_seconds)
