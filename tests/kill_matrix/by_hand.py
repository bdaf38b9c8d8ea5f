"""
A run as a person makes it: `starter.py run` brings everything up, it or its supervisor is killed,
and `watch` shows the rest.
"""

import asyncio
import contextlib
import os
import re
import signal
import time
from pathlib import Path

from contracts.visibility import RunState
from runtime.records import running_supervisor
from runtime.services.child_process import ChildProcess, log_tail
from tests.kill_matrix import model_script
from tests.kill_matrix.following import Follower
from tests.kill_matrix.kill_points import Kill
from tests.kill_matrix.plan import FaultKind, KillPoint, RunPlan
from tests.kill_matrix.runs import END_SECONDS, Outcome, conclude, set_scene
from tests.local_deployment import LocalDeployment, until

_PAUSE_SECONDS = 0.05
_LEAVING_SECONDS = 40.0
_STARTED = re.compile(r"started (request/\S+)")


class Terminal:
    """
    A person's terminal: one starter at a time, and the services that it brought up.

    Attributes:
        request_id: of the request that was started.
        blows: that fell, oldest first.
    """

    def __init__(self, stage: LocalDeployment, log: Path) -> None:
        self._stage = stage
        self._log = log
        self._starter: ChildProcess | None = None
        self._between = False
        self.request_id = ""
        self.blows: list[Kill] = []

    async def run(self, repository: Path, words: str) -> None:
        """Type `run`, and return when the request has been started."""
        checks = [part for line in model_script.CHECKS for part in ("--check", line)]
        self._open("run", "--repo", str(repository), *checks, words)
        await until(lambda: bool(self._said()) or not self._alive)
        if not self._said():
            raise AssertionError(f"`run` ended without a request:{log_tail(self._log)}")
        self.request_id = self._said()

    async def strike(self, strike: KillPoint) -> None:
        """Kill the starter or the supervisor, and wait until a person sees the request again."""
        blow = Kill(strike.harm, "", time.time())
        supervisor = running_supervisor(self._stage.settings)
        if supervisor is None or not self._alive:
            return
        if strike.harm is FaultKind.STARTER:
            self._between = True
            await self._kill_starter()
            self.blows.append(blow)
            await asyncio.sleep(strike.seconds)
            self._open("watch", self.request_id)
            self._between = False
        else:
            os.kill(supervisor.pid, signal.SIGKILL)
            self.blows.append(blow)
            await until(lambda: self._ready(but=supervisor.pid))
        await until(self._ready)
        blow.up = time.time()

    async def ended(self) -> int:
        """Wait until the starter has shown the request's end, and return its exit code."""
        while True:
            starter = self._starter
            assert starter is not None
            code = await starter.wait()
            if starter is self._starter and not self._between:
                return code
            await asyncio.sleep(_PAUSE_SECONDS)

    async def close(self) -> None:
        """End the starter if it lives; what it brought up leaves by itself."""
        if self._starter is not None:
            await self._starter.stop(grace_seconds=20)

    async def _kill_starter(self) -> None:
        assert self._starter is not None
        os.kill(self._starter.pid, signal.SIGKILL)
        await self._starter.wait()

    def _ready(self, *, but: int = 0) -> bool:
        record = running_supervisor(self._stage.settings)
        again = record is not None and record.ready and record.pid != but
        return not self._alive or again

    @property
    def _alive(self) -> bool:
        return self._starter is not None and self._starter.alive

    def _open(self, *words: str) -> None:
        self._starter = self._stage.open_starter(*words, log=self._log)

    def _said(self) -> str:
        found = _STARTED.search(self._log.read_text(errors="replace"))
        return found.group(1) if found else ""


async def carry_out_by_hand(stage: LocalDeployment, plan: RunPlan, *, expected: str) -> Outcome:
    """Carry out one run on a stage without services of its own."""
    outcome = Outcome(plan)
    with outcome.kept():
        await _carry_out(outcome, stage, expected=expected)
    return outcome


async def _carry_out(outcome: Outcome, stage: LocalDeployment, *, expected: str) -> None:
    plan, scene = outcome.plan, set_scene(stage, outcome.plan.number)
    terminal = Terminal(stage, stage.folder / f"terminal-{plan.number}.log")
    start = time.monotonic()
    try:
        async with asyncio.timeout(END_SECONDS):
            await terminal.run(scene.repository, f"{model_script.NAME} {plan.number:03d}")
            follower = Follower(await stage.client(), terminal.request_id, appeared=lambda _: None)
            striking = asyncio.create_task(_strike_all(plan, terminal))
            code = await terminal.ended()
            outcome.seconds = time.monotonic() - start
            striking.cancel()
            await asyncio.gather(striking, return_exceptions=True)
    finally:
        outcome.blows = terminal.blows
        await terminal.close()
    with contextlib.suppress(TimeoutError):
        await until(lambda: not stage.processes(), seconds=_LEAVING_SECONDS)
    left = [f"outlives the starter: {line[:150]}" for line in stage.processes().values()]
    # The merge queue may have been left in the middle of its last word, as `up` finds it.
    await stage.start_server()
    await stage.start_worker()
    try:
        await follower.ended(seconds=60)
        ending = await stage.ending(await stage.handle(terminal.request_id.partition("/")[2]))
        assert ending.status is not None, ending.reason
        served = (stage.server.pid, stage.worker.pid)
        await conclude(
            outcome, scene, follower, status=ending.status, expected=expected, served=served
        )
    finally:
        await follower.close()
        await stage.stop_worker()
        await stage.server.stop()
    if code or ending.state is not RunState.DONE:
        left.append(f"the starter ended with {code}, the request as {ending.state}")
    outcome.verdict.faults += left


async def _strike_all(plan: RunPlan, terminal: Terminal) -> None:
    for strike in plan.strikes:
        await asyncio.sleep(strike.after)
        await terminal.strike(strike)
