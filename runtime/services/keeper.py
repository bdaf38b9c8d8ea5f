"""The keeper: starts a background supervisor again that was killed or failed. That keeps it.

Either of the two may be killed at any moment; the other one starts it again. Run as
`python -m runtime.services.keeper COMMAND…`, the command line of the supervisor.
"""

import asyncio
import sys
from collections.abc import Callable, Sequence

from runtime.background_task import loop_time
from runtime.locks import is_held, releasing, try_lock
from runtime.records import KeeperRecord, SupervisorRecord
from runtime.services.backoff import Backoff
from runtime.services.detached import DetachedProcess
from runtime.settings import Settings, load

MODULE = "runtime.services.keeper"
_POLL_SECONDS = 0.25


async def ensure_keeper(
    settings: Settings, command: Sequence[str], *, in_order: Callable[[], bool]
) -> None:
    """Have a keeper run for the supervisor of this command line, until cancelled.

    It ends with a supervisor that ends `in_order`; after any other end it starts the next one.
    """
    keeper: DetachedProcess | None = None
    backoff = Backoff(loop_time())
    try:
        while True:
            lives = keeper is not None and keeper.exit_code() is None
            if not lives and not is_held(KeeperRecord.lock(settings)):
                keeper = DetachedProcess(
                    [sys.executable, "-m", MODULE, *command],
                    environment=settings.environment,
                    log=settings.logs / "supervisor.log",
                )
                await asyncio.sleep(backoff.after_end(loop_time()))
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        # One of an earlier supervisor ends by itself, when it sees that this one has.
        if keeper is not None and in_order():
            keeper.kill()


async def keep(settings: Settings, command: Sequence[str]) -> None:
    """Start the supervisor of a home again whenever it has ended, until it ends in order."""
    lock = try_lock(KeeperRecord.lock(settings))
    if lock is None:
        return
    with releasing(lock):
        await _keep(settings, command)


async def _keep(settings: Settings, command: Sequence[str]) -> None:
    backoff = Backoff(loop_time())
    started: DetachedProcess | None = None
    while settings.run.is_dir():
        starting = started is not None and started.exit_code() is None
        if not starting and not is_held(SupervisorRecord.lock(settings)):
            # A supervisor that ends in order removes its record before it lets go of its lock.
            if not SupervisorRecord.file(settings).exists():
                return
            delay = backoff.after_end(loop_time())
            _announce(f"The supervisor ended; everything starts again in {delay} s.")
            await asyncio.sleep(delay)
            started = DetachedProcess(
                command, environment=settings.environment, log=settings.logs / "supervisor.log"
            )
        await asyncio.sleep(_POLL_SECONDS)


def _announce(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(keep(load(), sys.argv[1:]))
