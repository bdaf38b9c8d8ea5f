"""Which finished requests leave a host: by their age, and by how much disk all may take."""

from collections.abc import Collection, Iterable, Sequence
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


@dataclass(frozen=True)
class InstalledLayer:
    """What a setup installed; `users` are the keys of the requests, open or ended, that use it."""

    name: str
    bytes: int
    users: frozenset[str] = frozenset()


def leaving(
    finished: Iterable[FinishedRequest],
    order: CleanUp,
    *,
    used_bytes: int,
    now: float,
    layers: Sequence[InstalledLayer] = (),
) -> list[tuple[FinishedRequest, str]]:
    """Return the requests that go, those that ended first first, each with the reason.

    `used_bytes` is the disk that all stores and layers take, of open requests too. With the last
    request that uses a layer its disk is free, and so is that of layers which none uses.
    """
    gone: list[tuple[FinishedRequest, str]] = []
    keys: set[str] = set()
    for each in sorted(finished, key=lambda one: (one.ended, one.key)):
        freed = sum(layer.bytes for layer in unused(layers, keys))
        freed += sum(request.stored_bytes for request, _ in gone)
        days = int((now - each.ended) // DAY_SECONDS)
        if order.retention_days and days >= order.retention_days:
            why = f"it ended {days} days ago and is kept {order.retention_days}"
        elif order.budget_bytes and used_bytes - freed > order.budget_bytes:
            what = "stores and layers" if layers else "stores"
            why = f"the {what} take {_megabytes(used_bytes)}, their budget is "
            why += _megabytes(order.budget_bytes)
        else:
            continue
        keys.add(each.key)
        gone.append((each, why))
    return gone


def unused(layers: Iterable[InstalledLayer], gone: Collection[str]) -> list[InstalledLayer]:
    """Return the layers that no request uses, once those with the keys in `gone` have left."""
    return [layer for layer in layers if layer.users <= frozenset(gone)]


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB"
