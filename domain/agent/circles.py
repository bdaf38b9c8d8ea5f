"""Whether an agent goes in circles: the same few replies, each with the same outcome, in turns."""

from collections.abc import Sequence

REMEMBERED = 18
_LONGEST = 4
"""Replies of the longest circle that is looked for; the shortest has two: A-B-A-B."""


def repeats(trail: Sequence[str]) -> int:
    """Return how often the circle that ends with the last reply was walked, 0 for none.

    `trail` has a digest of each reply with its outcome, newest last. The same reply over and over
    is no circle: it is counted elsewhere.
    """
    return max((_walked(trail, length) for length in range(2, _LONGEST + 1)), default=0)


def ends_one(trail: Sequence[str]) -> bool:
    """Return whether the last reply completes a circle: the moment to say so, once."""
    return repeats(trail) > repeats(trail[:-1])


def _walked(trail: Sequence[str], length: int) -> int:
    circle = tuple(trail[-length:])
    if len(circle) < length or len(set(circle)) == 1:
        return 0
    times, at = 1, len(trail) - length
    while at >= length and tuple(trail[at - length : at]) == circle:
        times += 1
        at -= length
    return times if times > 1 else 0
