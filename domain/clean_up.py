"""Which finished requests leave a host: by their age, and by how much disk all may take."""

from collections.abc import Iterable
from dataclasses import dataclass

from contracts.clean_up import CleanUp

DAY_SECONDS = 86_400
RETENTION_DAYS = 30
"""After how many days `gc` proposes to delete a finished request unless it is told otherwise."""


@dataclass(frozen=True)
class FinishedRequest:
    """A request that has ended; `ended` in seconds since 1970, `stored_bytes` as it is measured."""

    key: str
    ended: float
    stored_bytes: int = 0


def leaving(
    finished: Iterable[FinishedRequest], order: CleanUp, *, used_bytes: int, now: float
) -> list[tuple[FinishedRequest, str]]:
    """Return the requests that go, those that ended first first, each with the reason.

    `used_bytes` is the disk that all stores take, of open requests too.
    """
    gone: list[tuple[FinishedRequest, str]] = []
    over = used_bytes - order.budget_bytes if order.budget_bytes else 0
    for each in sorted(finished, key=lambda one: (one.ended, one.key)):
        days = int((now - each.ended) // DAY_SECONDS)
        if order.retention_days and days >= order.retention_days:
            why = f"it ended {days} days ago and is kept {order.retention_days}"
        elif over > 0:
            why = f"the stores take {_megabytes(used_bytes)}, their budget is "
            why += _megabytes(order.budget_bytes)
        else:
            continue
        over -= each.stored_bytes
        gone.append((each, why))
    return gone


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB"
