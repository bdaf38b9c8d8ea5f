"""`python -m tests.kill_matrix`: the whole matrix, or a part of it."""

import argparse
import asyncio
import contextlib
import datetime as dt
import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

from runtime.services.child_process import end_process
from tests.kill_matrix import model_script
from tests.kill_matrix.plan import BY_STARTER, TOGETHER, USUAL, Mode, RunPlan, plans
from tests.kill_matrix.retry_runs import execute_with_retries
from tests.kill_matrix.runs import UNDISTURBED, UNDISTURBED_GOAL, RunResult, execute
from tests.kill_matrix.starter_runs import execute_with_starter
from tests.kill_matrix.table import (
    MatrixSetup,
    line_of,
    log_run,
    processes_killed,
    publish,
    table,
)
from tests.local_deployment import ROOT, LocalDeployment

_LOG = ROOT / "build" / "kill-matrix.jsonl"
_DOCUMENT = ROOT / "docs" / "durability.md"
_KEPT = ROOT / "build" / "kill-matrix"
_RUNS_PER_DEPLOYMENT = 8
_MOST_FAILURES = 3


@dataclass(frozen=True)
class Expected:
    """The trees that undisturbed requests deliver: the reference request, and it with a goal."""

    reference: str
    goal: str

    def of(self, plan: RunPlan) -> str:
        """Return the tree that a run is to deliver."""
        return self.goal if plan.mode is Mode.GOAL else self.reference


class Matrix:
    """The runs of one matrix, some at a time, each group on a deployment of its own.

    Attributes:
        results: of the runs so far, in the order of their ends.
    """

    def __init__(self, *, seed: int, jobs: int, log: Path) -> None:
        self._seed = seed
        self._jobs = jobs
        self._log = log
        self.results: list[RunResult] = []

    async def undisturbed(self, plan: RunPlan = UNDISTURBED) -> RunResult:
        """Execute the request without any kill: all other runs are compared with it."""
        async with LocalDeployment(model_script.reference()) as deployment:
            return await execute(deployment, plan, expected="", seed=self._seed)

    async def run(self, todo: Sequence[RunPlan], *, expected: Expected) -> None:
        """Execute all plans."""
        waiting = list(reversed(todo))
        async with asyncio.TaskGroup() as group:
            for _ in range(self._jobs):
                group.create_task(self._work(waiting, expected))

    async def _work(self, waiting: list[RunPlan], expected: Expected) -> None:
        failures = 0
        while waiting:
            try:
                await self._on_one_deployment(waiting, expected)
            except Exception as error:
                failures += 1
                if failures >= _MOST_FAILURES:
                    raise
                print(f"a deployment could not be set up or cleared: {error!r}"[:500], flush=True)

    async def _on_one_deployment(self, waiting: list[RunPlan], expected: Expected) -> None:
        """Execute some runs on one deployment; after a run with problems the next gets another."""
        with_starter = waiting[-1].mode in BY_STARTER
        # What a starter brings up ends soon after the request.
        environ = {"ORCHESTCODE_IDLE_SECONDS": "1"} if with_starter else {}
        async with LocalDeployment(
            model_script.reference(), services=not with_starter, environ=environ
        ) as deployment:
            for _ in range(1 if with_starter else _RUNS_PER_DEPLOYMENT):
                if not waiting or (waiting[-1].mode in BY_STARTER) is not with_starter:
                    break
                result = await self._one(deployment, waiting.pop(), expected)
                if result.problems:
                    self._keep(deployment, result)
                    break

    async def _one(self, deployment: LocalDeployment, plan: RunPlan, trees: Expected) -> RunResult:
        expected = trees.of(plan)
        if plan.mode in BY_STARTER:
            result = await execute_with_starter(deployment, plan, expected=expected)
        elif plan.mode is Mode.RETRY:
            result = await execute_with_retries(
                deployment, plan, expected=expected, seed=self._seed
            )
        else:
            result = await execute(deployment, plan, expected=expected, seed=self._seed)
        self.results.append(result)
        print(line_of(result), flush=True)
        log_run(self._log, result, seed=self._seed)
        return result

    def _keep(self, deployment: LocalDeployment, result: RunResult) -> None:
        """Keep the folder of a run with problems for inspection."""
        kept = _KEPT / f"seed-{self._seed}-run-{result.plan.number:03d}"
        shutil.rmtree(kept, ignore_errors=True)
        with contextlib.suppress(shutil.Error, OSError):
            shutil.copytree(deployment.folder, kept, symlinks=True)
        print(f"        kept in {kept}", flush=True)


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.kill_matrix", description=__doc__)
    parser.add_argument("--kills", type=int, default=USUAL, help="kills in all; 0: every event")
    parser.add_argument("--together", type=int, default=TOGETHER, help="kills at events in one run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--mode", action="append", type=Mode, choices=list(Mode), metavar="MODE")
    parser.add_argument("--jobs", type=int, default=max(1, min((os.cpu_count() or 1), 4)))
    parser.add_argument("--run", type=int, help="only the run with this number")
    parser.add_argument("--log", type=Path, default=_LOG)
    parser.add_argument(
        "--publish", action="store_true", help=f"write the table into {_DOCUMENT.name}"
    )
    return parser.parse_args(words)


async def main(words: Sequence[str]) -> int:
    """Run the matrix; 1 when any run has problems."""
    typed = _parsed(words)
    errors = TelemetryFilter(core_level="ERROR", other_level="ERROR")
    # Otherwise the SDK prints errors about killed servers between the lines.
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter=errors))))
    start = time.monotonic()
    typed.log.unlink(missing_ok=True)
    matrix = Matrix(seed=typed.seed, jobs=typed.jobs, log=typed.log)
    quiet = await matrix.undisturbed()
    print(line_of(quiet), flush=True)
    if quiet.problems:
        return 1
    modes = typed.mode or list(Mode)
    goal = await matrix.undisturbed(UNDISTURBED_GOAL) if Mode.GOAL in modes else quiet
    if goal.problems:
        print(line_of(goal), flush=True)
        return 1
    todo = plans(
        quiet.points, kills=typed.kills, seed=typed.seed, modes=modes, together=typed.together
    )
    chosen = [plan for plan in todo if typed.run in (None, plan.number)]
    await matrix.run(chosen, expected=Expected(quiet.audit.tree, goal.audit.tree))
    setup = MatrixSetup(
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        seed=typed.seed,
        jobs=typed.jobs,
        cores=os.cpu_count() or 1,
        points=len(quiet.points),
        quiet_seconds=quiet.seconds,
        wall_seconds=time.monotonic() - start,
    )
    text = table(matrix.results, setup)
    print(f"\n{text}")
    if typed.publish:
        publish(_DOCUMENT, text)
    faulty = sum(bool(result.problems) for result in matrix.results)
    print(
        f"\n{processes_killed(matrix.results)} processes killed, "
        f"{len(matrix.results)} runs, {faulty} with problems"
    )
    return 1 if faulty else 0


if __name__ == "__main__":
    end_process(asyncio.run(main(sys.argv[1:])))
