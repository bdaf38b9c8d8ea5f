"""What setups have installed on a host, by the requests that use it, and removing the rest."""

import asyncio
import time
from collections.abc import Collection, Sequence
from typing import Self

from contracts.clean_up import GoneLayer
from domain.clean_up import InstalledLayer, unused
from infra.layer_use import layers_in_use
from infra.layers import Layer, Layers
from infra.store import Store

_GRACE_SECONDS = 3_600
"""What was used within the last hour stays: who used it may not have noted that yet."""


class HostLayers:
    """The layers of a host at one moment, and who uses them.

    Args:
        layers: of the home.
        found: those that are there now.
        since: what is used later than this stays.
    """

    def __init__(self, layers: Layers, found: Sequence[Layer], since: float) -> None:
        self._layers = layers
        self._found = found
        self._since = since
        self._users: dict[str, set[str]] = {each.name: set() for each in found}

    @classmethod
    async def of(cls, layers: Layers) -> Self:
        """Look at the layers of a home."""
        # Before the look at the stores: what a new request uses meanwhile was noted after it.
        since = time.time() - _GRACE_SECONDS
        return cls(layers, await asyncio.to_thread(layers.all), since)

    def __len__(self) -> int:
        """Return how many they are."""
        return len(self._found)

    @property
    def bytes(self) -> int:
        """The disk that all of them take."""
        return sum(each.bytes for each in self._found)

    async def note_user(self, store: Store, key: str) -> None:
        """Note which of them a request of a store uses."""
        if not self._found:
            return
        for name in await layers_in_use(store, key, self._found):
            if name in self._users:
                self._users[name].add(key)

    def keep_all(self) -> None:
        """Have none go: it is not known who uses them."""
        for users in self._users.values():
            users.add("")

    @property
    def installed(self) -> list[InstalledLayer]:
        """Return those that may go, with the keys of the requests that use each."""
        return [
            InstalledLayer(each.name, each.bytes, frozenset(self._users[each.name]))
            for each in self._found
            if each.used <= self._since
        ]

    def unused(self, gone: Collection[str]) -> list[GoneLayer]:
        """Return those that no request uses, once the requests with these keys have left."""
        names = {layer.name for layer in unused(self.installed, gone)}
        return [
            GoneLayer(name=each.name, commands=each.commands, used=each.used, bytes=each.bytes)
            for each in self._found
            if each.name in names
        ]

    async def remove(self, going: Sequence[GoneLayer]) -> int:
        """Remove layers; return the bytes freed. One that is used meanwhile stays."""
        await asyncio.to_thread(self._layers.sweep)
        freed = 0
        for each in going:
            if await asyncio.to_thread(self._layers.remove, each.name, unused_since=self._since):
                freed += each.bytes
        return freed
