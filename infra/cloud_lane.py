"""What this host has for the cloud lane: whether it can seal a clone, and how long one lasts."""

from dataclasses import dataclass

DEFAULT_MINUTES = 120
_NO_USER = (
    "this host offers none: its worker is not root's, so it cannot give a clone a user of its own; "
    "have root start the worker, or leave the lane out (docs/lanes.md)"
)


@dataclass(frozen=True)
class CloudLane:
    """The cloud lane of a host.

    Attributes:
        seconds: after which nothing runs in a clone any more.
        problem: why the host has none, and what to do; "" = it has one.
    """

    seconds: float
    problem: str = ""

    @classmethod
    def of_host(cls, minutes: int | None, *, own_users: bool) -> "CloudLane":
        """Return that of a host whose worker can give users to clones, or cannot."""
        return cls((minutes or DEFAULT_MINUTES) * 60.0, "" if own_users else _NO_USER)
