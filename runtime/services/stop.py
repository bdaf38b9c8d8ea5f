"""End the services of a home in order: the worker finishes what it may, then the server ends."""

import asyncio
import contextlib
import os
import signal

from runtime.background_task import loop_time
from runtime.errors import StartupError
from runtime.locks import is_held
from runtime.records import KeeperRecord, SupervisorRecord
from runtime.settings import Settings

_STOP_SECONDS = 60.0
_PAUSE_SECONDS = 0.05


async def stop_services(settings: Settings) -> bool:
    """End the supervisor of a home with its server and worker; return whether one ran.

    Raises:
        StartupError: they do not end.
    """
    locks = [record.lock(settings) for record in (SupervisorRecord, KeeperRecord)]
    end = loop_time() + _STOP_SECONDS + settings.reply_grace_seconds
    told: int | None = None
    ran = False
    while any(is_held(lock) for lock in locks):
        ran = True
        record = SupervisorRecord.running(settings)
        if record is not None and record.pid != told:
            told = record.pid
            with contextlib.suppress(ProcessLookupError):
                os.kill(record.pid, signal.SIGTERM)
        if loop_time() >= end:
            raise StartupError(f"The processes of {settings.home} do not end; see {settings.logs}.")
        await asyncio.sleep(_PAUSE_SECONDS)
    return ran
