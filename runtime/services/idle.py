"""How long a background supervisor lives: until no command needs it and nothing is open."""

import asyncio
import os
import time

from temporalio.client import Client
from temporalio.service import RPCError

from runtime.background_task import loop_time
from runtime.connect import connect
from runtime.errors import UnreachableError
from runtime.locks import try_lock
from runtime.records import SupervisorRecord, users_lock
from runtime.services.supervisor_status import SupervisorStatus
from runtime.settings import Settings

OPEN_REQUESTS = "WorkflowType = 'RequestWorkflow' AND ExecutionStatus = 'Running'"
"""The visibility query for what has not ended; what waits for a person is among it."""
_FIRST_USER_SECONDS = 10.0
_UNUSED_SECONDS = 1.0
_POLL_SECONDS = 0.25
_LOOK_SECONDS = 1.0


class IdleWatch:
    """Watches whether the services of a home are needed.

    A supervisor without a worker is needed by the commands that share the users' lock, and ends
    with them; one with a worker also by each open request.
    """

    def __init__(self, settings: Settings, status: SupervisorStatus) -> None:
        self._settings = settings
        self._status = status
        self._client: Client | None = None
        self._looked = 0.0
        self._open = True

    async def wait_until_idle(self) -> int | None:
        """Wait until nothing has needed the services for long enough; return the users' lock.

        The lock is then held alone: a command that comes meanwhile waits for a new supervisor
        instead of using one that stops. None: the home was deleted, and nothing is left to serve.
        """
        works = self._status.record.with_worker
        allowed = float(self._settings.idle_seconds) if works else _UNUSED_SECONDS
        since = loop_time() + (0.0 if works else _FIRST_USER_SECONDS)
        while SupervisorRecord.lock(self._settings).exists():
            lock = try_lock(users_lock(self._settings))
            if lock is None or (works and await self._is_open()):
                since = loop_time()
                self._tell_end(None)
            elif loop_time() - since >= allowed:
                if not works or not await self._is_open(at_once=True):
                    return lock
            else:
                self._tell_end(allowed - (loop_time() - since))
            if lock is not None:
                os.close(lock)
            await asyncio.sleep(_POLL_SECONDS)
        return None

    def _tell_end(self, seconds: float | None) -> None:
        """Record when the supervisor will end, or that it is needed."""
        if (self._status.record.ends_at is None) is not (seconds is None):
            ends_at = None if seconds is None else time.time() + seconds
            self._status.update(ends_at=ends_at)

    async def _is_open(self, *, at_once: bool = False) -> bool:
        """Whether a request is open, as of a second ago; a service that cannot tell has some."""
        if at_once or loop_time() - self._looked >= _LOOK_SECONDS:
            self._looked = loop_time()
            self._open = await self._count() > 0
        return self._open

    async def _count(self) -> int:
        record = self._status.record
        if not record.server_ready or record.address is None:
            return 1
        try:
            if self._client is None:
                self._client = await connect(self._settings, address=record.address)
            return (await self._client.count_workflows(OPEN_REQUESTS)).count
        except (UnreachableError, RPCError):
            # The next one may listen elsewhere.
            self._client = None
            return 1
