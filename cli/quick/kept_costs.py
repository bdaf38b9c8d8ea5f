"""What requests have cost so far, as the stores of this host count it."""

import asyncio
from collections.abc import Collection
from pathlib import Path

from cli.exit_codes import UsageError
from cli.formatting import clean, name
from infra.kept.costs import StoreError, costs_microusd

_MICRO = 1_000_000


def kept_costs(stores: Path, keys: Collection[str]) -> dict[str, float]:
    """Return the costs in US dollars of the requests that a store of this host has, by key.

    Raises:
        UsageError: a store cannot be read.
    """
    return asyncio.run(_kept_costs(stores, keys))


async def _kept_costs(stores: Path, keys: Collection[str]) -> dict[str, float]:
    found = {}
    for key in keys:
        try:
            micro = await costs_microusd(stores, key)
        except StoreError as error:
            why = clean(str(error), 500)
            raise UsageError(f"The store of {name(key)} cannot be read: {why}") from error
        if micro is not None:
            found[key] = micro / _MICRO
    return found
