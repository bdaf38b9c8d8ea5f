"""
The blows themselves: a process is killed or frozen, and what was killed is started again at once.
"""

import asyncio
import os
import random
import signal
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

from runtime.services.child_process import ChildProcess
from tests.kill_matrix.model_script import MARK
from tests.kill_matrix.plan import FaultKind, KillPoint
from tests.local_deployment import LocalDeployment

_VICTIM_SECONDS = 20.0
_PAUSE_SECONDS = 0.02


@dataclass
class Kill:
    """
    One blow that fell. Times are seconds since the epoch.

    Attributes:
        where: the point at which it fell, "" for an instant.
        time: of the signal.
        gone: when an orderly stop was over; None for the others, which are gone at once.
        up: when what was struck was back; None when it was struck again before.
        ended: when a frozen process went on; None for the others.
    """

    harm: FaultKind
    where: str
    time: float
    gone: float | None = None
    up: float | None = None
    ended: float | None = None


class Striker:
    """
    Strikes the processes of one stage.

    Attributes:
        blows: that fell, oldest first.
    """

    def __init__(self, stage: LocalDeployment, dice: random.Random) -> None:
        self._stage = stage
        self._dice = dice
        self._starting: list[asyncio.Task[None]] = []
        self._replaced: list[ChildProcess] = []
        self._falling: asyncio.Future[None] | None = None
        self._over = False
        self.blows: list[Kill] = []

    async def strike(self, strike: KillPoint) -> None:
        """Let one blow fall; it returns when what was struck is being started again."""
        blows: dict[FaultKind, Callable[[Kill, KillPoint], Coroutine[object, object, None]]] = {
            FaultKind.WORKER: self._worker,
            FaultKind.TERM: self._term,
            FaultKind.SERVER: self._server,
            FaultKind.BOTH: self._both,
            FaultKind.TOOL: self._tool,
            FaultKind.GIT: self._git,
            FaultKind.FREEZE: self._freeze,
            FaultKind.ZOMBIE: self._zombie,
        }
        blow = Kill(strike.harm, str(strike.at or ""), time.time())
        falling = self._falling = asyncio.ensure_future(blows[strike.harm](blow, strike))
        # Carried through even when nobody waits any more: what was frozen must go on again.
        await asyncio.shield(falling)

    async def mended(self) -> None:
        """Wait until everything that was started again is there."""
        await asyncio.gather(*self._starting)
        self._starting.clear()

    async def settle(self) -> None:
        """Carry the last blow through and mend it; no other falls."""
        self._over = True
        if self._falling is not None:
            await self._falling
        await self.mended()

    async def close(self) -> None:
        """Settle, and end the workers that were replaced but live."""
        await self.settle()
        for process in self._replaced:
            _go_on(process)
            await process.stop(grace_seconds=20)
        self._replaced.clear()

    def _fell(self, blow: Kill) -> None:
        self.blows.append(blow)

    async def _worker(self, blow: Kill, _: KillPoint) -> None:
        if not self._stage.worker.alive:
            return  # it dies already
        blow.time = time.time()
        await self._stage.kill_worker()
        self._fell(blow)
        self._start_worker(blow)

    async def _term(self, blow: Kill, _: KillPoint) -> None:
        await self.mended()
        blow.time = time.time()
        self._fell(blow)
        await self._stage.stop_worker()
        blow.gone = time.time()
        self._start_worker(blow)

    async def _server(self, blow: Kill, _: KillPoint) -> None:
        await self.mended()
        blow.time = time.time()
        await self._stage.kill_server()
        self._fell(blow)
        self._start(blow, self._stage.start_server())

    async def _both(self, blow: Kill, _: KillPoint) -> None:
        await self.mended()
        blow.time = time.time()
        os.kill(self._stage.worker.pid, signal.SIGKILL)
        await self._stage.kill_server()
        await self._stage.worker.wait()
        self._fell(blow)
        self._start(blow, self._all())

    async def _all(self) -> None:
        await asyncio.gather(self._stage.start_server(), self._stage.start_worker())

    async def _tool(self, blow: Kill, _: KillPoint) -> None:
        """Kill a process of a coder's command: the command, its shell, or the sandbox around it."""
        await self._kill_child(blow, lambda pid: _is_tool(pid, self._stage.worker.pid))

    async def _git(self, blow: Kill, _: KillPoint) -> None:
        await self._kill_child(blow, lambda pid: _name(pid) == "git")

    async def _kill_child(self, blow: Kill, wanted: Callable[[int], bool]) -> None:
        await self.mended()
        end = time.monotonic() + _VICTIM_SECONDS
        while time.monotonic() < end and not self._over:
            found = [pid for pid in descendants(self._stage.worker.pid) if wanted(pid)]
            if found:
                blow.time = time.time()
                victim = self._dice.choice(found)
                try:
                    os.kill(victim, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                blow.where = blow.where or _name(victim)
                self._fell(blow)
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _freeze(self, blow: Kill, strike: KillPoint) -> None:
        await self.mended()
        process = self._stage.worker
        blow.time = time.time()
        os.kill(process.pid, signal.SIGSTOP)
        self._fell(blow)
        await asyncio.sleep(strike.seconds)
        if process.alive:
            os.kill(process.pid, signal.SIGCONT)
            blow.up = blow.ended = time.time()
        else:  # one that was replaced before lives, and ended it for a lock
            self._start_worker(blow)

    async def _zombie(self, blow: Kill, strike: KillPoint) -> None:
        await self.mended()
        process = self._stage.worker
        blow.time = time.time()
        os.kill(process.pid, signal.SIGSTOP)
        self._fell(blow)
        self._replaced.append(process)
        self._start_worker(blow)
        await asyncio.sleep(strike.seconds)
        _go_on(process)
        blow.ended = time.time()

    def _start_worker(self, blow: Kill) -> None:
        self._start(blow, self._stage.start_worker())

    def _start(self, blow: Kill, starting: Coroutine[object, object, None]) -> None:
        """Start what was killed, without waiting: the next blow may fall before it is there."""

        async def start() -> None:
            try:
                await starting
            except AssertionError:
                if self.blows[-1] is blow:
                    raise
            else:
                blow.up = time.time()

        self._starting.append(asyncio.create_task(start()))


def _go_on(process: ChildProcess) -> None:
    """Continue a frozen process, unless it was ended for a lock that the others needed."""
    if process.alive:
        os.kill(process.pid, signal.SIGCONT)


def descendants(pid: int) -> list[int]:
    """Return the processes below one, nearest first."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(words[1]), []).append(int(folder.name))
    found = list(children.get(pid, ()))
    for one in found:
        found += children.get(one, ())
    return found


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def marked(pid: int) -> bool:
    """Say whether a process belongs to a coder's command."""
    try:
        return f"{MARK}=1".encode() in Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False


def _is_tool(pid: int, worker: int) -> bool:
    """Say whether a process is a coder's command or stands between it and the worker."""
    if _name(pid) == "git" or pid == worker:
        return False
    return marked(pid) or any(marked(below) for below in descendants(pid))
