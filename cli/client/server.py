"""The connection to the Temporal server, which may come back on another port."""

from collections.abc import Awaitable, Callable

from temporalio.client import Client

Relocate = Callable[[Client], Awaitable[Client | None]]
"""Returns a client of where the server listens now; None when that has not changed."""


class ServerConnection:
    """A connected client, replaced when the server comes back somewhere else."""

    def __init__(self, client: Client, relocate: Relocate | None = None) -> None:
        """Use a connected client.

        Args:
            client: connected.
            relocate: looks for the server; None when its address is fixed.
        """
        self.client = client
        self._relocate = relocate

    async def follow(self) -> None:
        """Connect to the server where it listens now; for after a call that failed."""
        if self._relocate is not None:
            self.client = await self._relocate(self.client) or self.client
