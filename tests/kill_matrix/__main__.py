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
from pathlib import Path

from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter

from runtime.services.child_process import end_process
from tests.kill_matrix import model_script
from tests.kill_matrix.by_hand import carry_out_by_hand
from tests.kill_matrix.plan import TOGETHER, USUAL, Mode, RunPlan, plans
from tests.kill_matrix.runs import UNDISTURBED, Outcome, carry_out
from tests.kill_matrix.table import Facts, kills, line_of, log_run, publish, table
from tests.local_deployment import ROOT, LocalDeployment

_LOG = ROOT / "build" / "kill-matrix.jsonl"
_DOCUMENT = ROOT / "docs" / "durability.md"
_KEPT = ROOT / "build" / "kill-matrix"
_RUNS_PER_STAGE = 8
_MOST_TROUBLES = 3


class Matrix:
    """
    The runs of one matrix, some at a time, each group on a stage of its own.

    Attributes:
        outcomes: of the runs so far, in the order of their ends.
    """

    def __init__(self, *, seed: int, jobs: int, log: Path) -> None:
        self._seed = seed
        self._jobs = jobs
        self._log = log
        self.outcomes: list[Outcome] = []

    async def undisturbed(self) -> Outcome:
        """Carry the request out without any blow: the measure of all other runs."""
        async with LocalDeployment(model_script.reference()) as stage:
            return await carry_out(stage, UNDISTURBED, expected="", seed=self._seed)

    async def run(self, todo: Sequence[RunPlan], *, expected: str) -> None:
        """Carry out all plans."""
        waiting = list(reversed(todo))
        async with asyncio.TaskGroup() as group:
            for _ in range(self._jobs):
                group.create_task(self._work(waiting, expected))

    async def _work(self, waiting: list[RunPlan], expected: str) -> None:
        troubles = 0
        while waiting:
            try:
                await self._on_one_stage(waiting, expected)
            except Exception as trouble:
                troubles += 1
                if troubles >= _MOST_TROUBLES:
                    raise
                print(f"a stage could not be set up or cleared: {trouble!r}"[:500], flush=True)

    async def _on_one_stage(self, waiting: list[RunPlan], expected: str) -> None:
        """Carry out some runs on one stage; after a faulty one the next gets another."""
        by_hand = waiting[-1].mode is Mode.STARTER
        async with LocalDeployment(model_script.reference(), services=not by_hand) as stage:
            for _ in range(1 if by_hand else _RUNS_PER_STAGE):
                if not waiting or (waiting[-1].mode is Mode.STARTER) is not by_hand:
                    break
                outcome = await self._one(stage, waiting.pop(), expected)
                if outcome.faults:
                    self._keep(stage, outcome)
                    break

    async def _one(self, stage: LocalDeployment, plan: RunPlan, expected: str) -> Outcome:
        if plan.mode is Mode.STARTER:
            outcome = await carry_out_by_hand(stage, plan, expected=expected)
        else:
            outcome = await carry_out(stage, plan, expected=expected, seed=self._seed)
        self.outcomes.append(outcome)
        print(line_of(outcome), flush=True)
        log_run(self._log, outcome, seed=self._seed)
        return outcome

    def _keep(self, stage: LocalDeployment, outcome: Outcome) -> None:
        """Keep a faulty run's folder for whoever looks into it."""
        kept = _KEPT / f"seed-{self._seed}-run-{outcome.plan.number:03d}"
        shutil.rmtree(kept, ignore_errors=True)
        with contextlib.suppress(shutil.Error, OSError):
            shutil.copytree(stage.folder, kept, symlinks=True)
        print(f"        kept in {kept}", flush=True)


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.kill_matrix", description=__doc__)
    parser.add_argument("--kills", type=int, default=USUAL, help="blows in all; 0: every event")
    parser.add_argument("--together", type=int, default=TOGETHER, help="events struck in one run")
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
    """Run the matrix; 1 when any run is not whole."""
    typed = _parsed(words)
    errors = TelemetryFilter(core_level="ERROR", other_level="ERROR")
    # The SDK's own words on a server that is killed would stand between the lines.
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter=errors))))
    start = time.monotonic()
    typed.log.unlink(missing_ok=True)
    matrix = Matrix(seed=typed.seed, jobs=typed.jobs, log=typed.log)
    quiet = await matrix.undisturbed()
    print(line_of(quiet), flush=True)
    if quiet.faults:
        return 1
    modes = typed.mode or list(Mode)
    todo = plans(
        quiet.points, blows=typed.kills, seed=typed.seed, modes=modes, together=typed.together
    )
    chosen = [plan for plan in todo if typed.run in (None, plan.number)]
    await matrix.run(chosen, expected=quiet.verdict.tree)
    facts = Facts(
        date=dt.datetime.now(dt.UTC).date().isoformat(),
        seed=typed.seed,
        jobs=typed.jobs,
        cores=os.cpu_count() or 1,
        points=len(quiet.points),
        quiet_seconds=quiet.seconds,
        wall_seconds=time.monotonic() - start,
    )
    text = table(matrix.outcomes, facts)
    print(f"\n{text}")
    if typed.publish:
        publish(_DOCUMENT, text)
    faulty = sum(bool(outcome.faults) for outcome in matrix.outcomes)
    print(f"\n{kills(matrix.outcomes)} kills, {len(matrix.outcomes)} runs, {faulty} not whole")
    return 1 if faulty else 0


if __name__ == "__main__":
    end_process(asyncio.run(main(sys.argv[1:])))
