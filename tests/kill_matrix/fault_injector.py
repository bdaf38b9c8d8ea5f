"""Kills and freezes of a deployment's processes; what was killed is started again at once."""

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
    """One kill or freeze that happened. Times are seconds since the epoch.

    Attributes:
        where: the event at which it happened, "" for a random instant.
        time: of the signal.
        gone: when an orderly stop was over; None for the others, which are gone at once.
        up: when what was killed was back; None when it was killed again before.
        ended: when a frozen process went on; None for the others.
    """

    fault: FaultKind
    where: str
    time: float
    gone: float | None = None
    up: float | None = None
    ended: float | None = None


class FaultInjector:
    """Kills and freezes the processes of one deployment.

    Attributes:
        kills: oldest first.
    """

    def __init__(self, deployment: LocalDeployment, rng: random.Random) -> None:
        self._stage = deployment
        self._rng = rng
        self._starting: list[asyncio.Task[None]] = []
        self._replaced: list[ChildProcess] = []
        self._injecting: asyncio.Future[None] | None = None
        self._over = False
        self.kills: list[Kill] = []

    async def inject(self, kill_point: KillPoint) -> None:
        """Kill or freeze as a kill point says; return once the restart has begun."""
        methods: dict[FaultKind, Callable[[Kill, KillPoint], Coroutine[object, object, None]]] = {
            FaultKind.WORKER: self._worker,
            FaultKind.TERM: self._term,
            FaultKind.SERVER: self._server,
            FaultKind.BOTH: self._both,
            FaultKind.TOOL: self._tool,
            FaultKind.GIT: self._git,
            FaultKind.FREEZE: self._freeze,
            FaultKind.ZOMBIE: self._zombie,
        }
        kill = Kill(kill_point.fault, str(kill_point.at or ""), time.time())
        injecting = self._injecting = asyncio.ensure_future(
            methods[kill_point.fault](kill, kill_point)
        )
        # Completed even when the caller is cancelled: what was frozen must continue.
        await asyncio.shield(injecting)

    async def restarted(self) -> None:
        """Wait until everything that was started again is ready."""
        await asyncio.gather(*self._starting)
        self._starting.clear()

    async def settle(self) -> None:
        """Complete the last kill and its restart; no other follows."""
        self._over = True
        if self._injecting is not None:
            await self._injecting
        await self.restarted()

    async def close(self) -> None:
        """Settle, and end the workers that were replaced but live."""
        await self.settle()
        for process in self._replaced:
            _go_on(process)
            await process.stop(grace_seconds=20)
        self._replaced.clear()

    def _record(self, kill: Kill) -> None:
        self.kills.append(kill)

    async def _worker(self, kill: Kill, _: KillPoint) -> None:
        if not self._stage.worker.alive:
            return  # it is ending already
        kill.time = time.time()
        await self._stage.kill_worker()
        self._record(kill)
        self._start_worker(kill)

    async def _term(self, kill: Kill, _: KillPoint) -> None:
        await self.restarted()
        kill.time = time.time()
        self._record(kill)
        await self._stage.stop_worker()
        kill.gone = time.time()
        self._start_worker(kill)

    async def _server(self, kill: Kill, _: KillPoint) -> None:
        await self.restarted()
        kill.time = time.time()
        await self._stage.kill_server()
        self._record(kill)
        self._start(kill, self._stage.start_server())

    async def _both(self, kill: Kill, _: KillPoint) -> None:
        await self.restarted()
        kill.time = time.time()
        os.kill(self._stage.worker.pid, signal.SIGKILL)
        await self._stage.kill_server()
        await self._stage.worker.wait()
        self._record(kill)
        self._start(kill, self._all())

    async def _all(self) -> None:
        await asyncio.gather(self._stage.start_server(), self._stage.start_worker())

    async def _tool(self, kill: Kill, _: KillPoint) -> None:
        """Kill a process of a coder's command: the command, its shell, or the sandbox around it."""
        await self._kill_child(kill, lambda pid: _is_tool(pid, self._stage.worker.pid))

    async def _git(self, kill: Kill, _: KillPoint) -> None:
        await self._kill_child(kill, lambda pid: _name(pid) == "git")

    async def _kill_child(self, kill: Kill, wanted: Callable[[int], bool]) -> None:
        await self.restarted()
        end = time.monotonic() + _VICTIM_SECONDS
        while time.monotonic() < end and not self._over:
            found = [pid for pid in descendants(self._stage.worker.pid) if wanted(pid)]
            if found:
                kill.time = time.time()
                victim = self._rng.choice(found)
                try:
                    os.kill(victim, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                kill.where = kill.where or _name(victim)
                self._record(kill)
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _freeze(self, kill: Kill, kill_point: KillPoint) -> None:
        await self.restarted()
        process = self._stage.worker
        kill.time = time.time()
        os.kill(process.pid, signal.SIGSTOP)
        self._record(kill)
        await asyncio.sleep(kill_point.seconds)
        if process.alive:
            os.kill(process.pid, signal.SIGCONT)
            kill.up = kill.ended = time.time()
        else:  # a worker that was replaced earlier ended it, for a lock
            self._start_worker(kill)

    async def _zombie(self, kill: Kill, kill_point: KillPoint) -> None:
        await self.restarted()
        process = self._stage.worker
        kill.time = time.time()
        os.kill(process.pid, signal.SIGSTOP)
        self._record(kill)
        self._replaced.append(process)
        self._start_worker(kill)
        await asyncio.sleep(kill_point.seconds)
        _go_on(process)
        kill.ended = time.time()

    def _start_worker(self, kill: Kill) -> None:
        self._start(kill, self._stage.start_worker())

    def _start(self, kill: Kill, starting: Coroutine[object, object, None]) -> None:
        """Start what was killed, without waiting: the next kill may come before it is ready."""

        async def start() -> None:
            try:
                await starting
            except AssertionError:
                if self.kills[-1] is kill:
                    raise
            else:
                kill.up = time.time()

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
    """Return whether a process is a coder's command, or an ancestor of it below the worker."""
    if _name(pid) == "git" or pid == worker:
        return False
    return marked(pid) or any(marked(below) for below in descendants(pid))
