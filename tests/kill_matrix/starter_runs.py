"""Runs by `starter.py run`: it or its supervisor is killed, and `watch` shows the rest."""

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from contracts.visibility import RunState
from runtime.records import SupervisorRecord
from runtime.services.child_process import ChildProcess, log_tail
from tests.kill_matrix import model_script
from tests.kill_matrix.fault_injector import Kill
from tests.kill_matrix.history_follower import Follower
from tests.kill_matrix.plan import LOOKS, FaultKind, KillPoint, RunPlan
from tests.kill_matrix.runs import END_SECONDS, RunResult, conclude, prepare_repository
from tests.local_deployment import ROOT, LocalDeployment, until

_PAUSE_SECONDS = 0.05
_LEAVING_SECONDS = 40.0
_WATCH_SECONDS = 2.0
_NO_KEY = dict.fromkeys(("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_BASE_URL"), "")
"""Empty variables are left out."""
_WRONG_KEY = {"ANTHROPIC_API_KEY": "refused"}
_OTHER_SETTINGS = {
    "ANTHROPIC_API_KEY": "refused",
    "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
    "ORCHESTCODE_MODEL": "another-model",
    "ORCHESTCODE_COMMAND_PROCESSES": "77",
}
_STARTED = re.compile(r"started (request/\S+)")


class StarterTerminal:
    """A person's terminal: one starter at a time, and the services that it brought up.

    Attributes:
        request_id: of the request that was started.
        kills: oldest first.
        problems: what a look did that it must not, in sentences.
    """

    def __init__(self, deployment: LocalDeployment, log: Path) -> None:
        self._stage = deployment
        self._log = log
        self._starter: ChildProcess | None = None
        self._between = False
        self.request_id = ""
        self.kills: list[Kill] = []
        self.problems: list[str] = []

    async def run(self, repository: Path, words: str) -> None:
        """Type `run`, and return when the request has been started."""
        checks = [part for line in model_script.CHECKS for part in ("--check", line)]
        self._open("run", "--repo", str(repository), *checks, words)
        await until(lambda: bool(self._said()) or not self._alive)
        if not self._said():
            raise AssertionError(f"`run` ended without a request:{log_tail(self._log)}")
        self.request_id = self._said()

    async def inject(self, kill_point: KillPoint) -> None:
        """Kill the starter or the supervisor, and wait until a person sees the request again."""
        kill = Kill(kill_point.fault, "", time.time())
        if kill_point.fault in LOOKS:
            await self._look(kill)
            return
        supervisor = SupervisorRecord.running(self._stage.settings)
        if supervisor is None or not self._alive:
            return
        if kill_point.fault is FaultKind.STARTER:
            self._between = True
            await self._kill_starter()
            self.kills.append(kill)
            await asyncio.sleep(kill_point.seconds)
            self._open("watch", self.request_id)
            self._between = False
        else:
            os.kill(supervisor.pid, signal.SIGKILL)
            self.kills.append(kill)
            if not kill_point.waits:
                return
            await until(lambda: self._ready(but=supervisor.pid))
        await until(self._ready)
        kill.up = time.time()

    async def _look(self, kill: Kill) -> None:
        """Type what a person may in another shell, and note what does not answer as it must."""
        self.kills.append(kill)
        if kill.fault is FaultKind.RIVAL:
            for words in (["run", "--repo", str(self._stage.folder), "x"], ["up"]):
                ended = await self._stage.starter(*words, environ=_OTHER_SETTINGS)
                refused = ended.returncode in (1, 2) or not self._alive
                self._note(refused, words, ended.returncode, ended.stderr)
            return
        environ = _NO_KEY if kill.fault is FaultKind.LOOK else _WRONG_KEY
        for verb in ("list", "status", "log", "why"):
            words = [verb] if verb == "list" else [verb, self.request_id]
            ended = await self._stage.starter(*words, environ=environ)
            # A request that is being opened has nothing to show yet.
            opening = "Nothing of" in ended.stderr
            self._note(ended.returncode == 0 or opening, words, ended.returncode, ended.stderr)
        await self._watch_for_a_moment(environ)

    async def _watch_for_a_moment(self, environ: Mapping[str, str]) -> None:
        log = self._log.with_suffix(".look")
        merged = {**self._stage.environ, **environ}
        watch = ChildProcess(
            [sys.executable, str(ROOT / "starter.py"), "watch", self.request_id],
            environment={name: value for name, value in merged.items() if value},
            log=log,
            folder=self._stage.folder,
        )
        await asyncio.sleep(_WATCH_SECONDS)
        if watch.alive:
            os.kill(watch.pid, signal.SIGINT)
        code = await watch.wait()
        self._note(code in (0, 3), ["watch"], code, log_tail(log))

    def _note(self, good: object, words: Sequence[str], code: int, said: str) -> None:
        if not good:
            self.problems.append(f"`{' '.join(words)}` ended with {code}: {said[-500:]}")

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
        record = SupervisorRecord.running(self._stage.settings)
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


async def execute_with_starter(
    deployment: LocalDeployment, plan: RunPlan, *, expected: str
) -> RunResult:
    """Execute one run on a deployment without services of its own."""
    result = RunResult(plan)
    with result.recording_error():
        await _execute(result, deployment, expected=expected)
    return result


async def _execute(result: RunResult, deployment: LocalDeployment, *, expected: str) -> None:
    plan, prepared = result.plan, prepare_repository(deployment, result.plan.number)
    terminal = StarterTerminal(deployment, deployment.folder / f"terminal-{plan.number}.log")
    start = time.monotonic()
    try:
        async with asyncio.timeout(END_SECONDS):
            await terminal.run(prepared.repository, f"{model_script.NAME} {plan.number:03d}")
            follower = Follower(
                await deployment.client(), terminal.request_id, appeared=lambda _: None
            )
            injecting = asyncio.create_task(_inject_all(plan, terminal))
            code = await terminal.ended()
            result.seconds = time.monotonic() - start
            injecting.cancel()
            for error in await asyncio.gather(injecting, return_exceptions=True):
                if isinstance(error, Exception):
                    terminal.problems.append(f"{type(error).__name__}: {error}"[:500])
    finally:
        result.kills = terminal.kills
        await terminal.close()
    with contextlib.suppress(TimeoutError):
        await until(lambda: not deployment.processes(), seconds=_LEAVING_SECONDS)
    left = [f"outlives the starter: {line[:150]}" for line in deployment.processes().values()]
    # The merge queue may have been stopped before its last signal; `up` would complete it.
    await deployment.start_server()
    await deployment.start_worker()
    try:
        await follower.ended(seconds=60)
        ending = await deployment.ending(
            await deployment.handle(terminal.request_id.partition("/")[2])
        )
        assert ending.status is not None, ending.reason
        served = (deployment.server.pid, deployment.worker.pid)
        await conclude(
            result, prepared, follower, status=ending.status, expected=expected, served=served
        )
    finally:
        await follower.close()
        await deployment.stop_worker()
        await deployment.server.stop()
    if code or ending.state is not RunState.DONE:
        left.append(f"the starter ended with {code}, the request as {ending.state}")
    result.audit.problems += [*left, *terminal.problems]


async def _inject_all(plan: RunPlan, terminal: StarterTerminal) -> None:
    for kill_point in plan.kill_points:
        await asyncio.sleep(kill_point.after)
        await terminal.inject(kill_point)
