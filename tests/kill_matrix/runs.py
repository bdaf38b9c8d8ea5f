"""One run: the reference request, its blows, its end without help, and the checker's verdict."""

import asyncio
import contextlib
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from contracts.request import RequestStatus
from tests.kill_matrix import model_script
from tests.kill_matrix.audit import Evidence, Verdict, examine
from tests.kill_matrix.following import Follower, Point
from tests.kill_matrix.kill_points import Kill, Striker
from tests.kill_matrix.plan import FaultKind, KillPoint, Mode, RunPlan
from tests.kill_matrix.recovery import Recovery, recoveries
from tests.local_deployment import LocalDeployment, disturbed, snapshot, until

END_SECONDS = 300.0
_LEAVING_SECONDS = 60.0
_WAKING_SECONDS = 20.0
UNDISTURBED = RunPlan(0, Mode.EVENT, ())


@dataclass
class Outcome:
    """
    What became of one run.

    Attributes:
        seconds: from its start to its end.
        points: that appeared, in order.
        unstruck: blows that found nothing to strike before the request ended.
        error: why the run could not be carried to its end; "" when it was.
        evidence: what the checker read; None when it could not.
    """

    plan: RunPlan
    seconds: float = 0.0
    blows: list[Kill] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    points: list[Point] = field(default_factory=list)
    unstruck: int = 0
    error: str = ""
    evidence: Evidence | None = None

    @property
    def faults(self) -> list[str]:
        """Everything wrong, in sentences."""
        return [*([self.error] if self.error else []), *self.verdict.faults]

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Keep an error of the block as this run's: whatever it is, the other runs go on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001
            self.error = f"{type(error).__name__}: {error}"[:4_000]


@dataclass(frozen=True)
class Scene:
    """A request's surroundings: the repository of a person, and how it was before."""

    stage: LocalDeployment
    repository: Path
    before: dict[str, str]


def set_scene(stage: LocalDeployment, number: int) -> Scene:
    """Make the repository of one run."""
    repository = stage.repository(f"wood-{number:03d}", model_script.FILES)
    return Scene(stage, repository, snapshot(repository))


async def carry_out(stage: LocalDeployment, plan: RunPlan, *, expected: str, seed: int) -> Outcome:
    """Carry out one run on a stage with server and worker, which are whole again at its end."""
    outcome = Outcome(plan)
    with outcome.kept():
        await _carry_out(outcome, stage, expected=expected, seed=seed)
    return outcome


async def _carry_out(outcome: Outcome, stage: LocalDeployment, *, expected: str, seed: int) -> None:
    plan, scene = outcome.plan, set_scene(stage, outcome.plan.number)
    striker = Striker(stage, random.Random(f"{seed} {plan.number}"))
    armed = {strike.at: strike for strike in plan.strikes if strike.at}
    due: asyncio.Queue[KillPoint] = asyncio.Queue()

    def appeared(point: Point) -> None:
        if point in armed:
            due.put_nowait(armed.pop(point))

    start = time.monotonic()
    name = f"{model_script.NAME}-{plan.number:03d}"
    handle = await stage.start_request(name, scene.repository, checks=list(model_script.CHECKS))
    follower = Follower(await stage.client(), handle.id, appeared=appeared)
    timed = [strike for strike in plan.strikes if strike.at is None]
    striking = asyncio.create_task(_strike_all(due, timed, striker))
    try:
        status = await stage.delivered(handle, seconds=END_SECONDS)
        outcome.seconds = time.monotonic() - start
        striking.cancel()
        await _woken(stage, striker)
    finally:
        striking.cancel()
        await asyncio.gather(striking, return_exceptions=True)
        await striker.close()
        outcome.blows = striker.blows
    try:
        await follower.ended(seconds=_LEAVING_SECONDS)
    finally:
        await follower.close()
    served = (stage.server.pid, stage.worker.pid)
    await conclude(outcome, scene, follower, status=status, expected=expected, served=served)


async def _woken(stage: LocalDeployment, striker: Striker) -> None:
    """Give a worker that was frozen until after the end the time to give back what it woke with."""
    if any(blow.harm in {FaultKind.FREEZE, FaultKind.ZOMBIE} for blow in striker.blows):
        await striker.settle()
        with contextlib.suppress(TimeoutError):
            await until(lambda: not stage.left_behind(), seconds=_WAKING_SECONDS)


async def _strike_all(
    due: asyncio.Queue[KillPoint], timed: Sequence[KillPoint], striker: Striker
) -> None:
    """Strike at the points as they are due, or at the times one after the other."""
    for strike in timed:
        await striker.mended()
        await asyncio.sleep(strike.after)
        await striker.strike(strike)
    while True:
        await striker.strike(await due.get())


async def conclude(
    outcome: Outcome,
    scene: Scene,
    follower: Follower,
    *,
    status: RequestStatus,
    expected: str,
    served: Sequence[int],
) -> None:
    """Let the checker read what a run left, and measure how it recovered."""
    histories = list(follower.histories.values())
    key = str(follower.repository["key"])
    evidence = outcome.evidence = Evidence(
        stage=scene.stage,
        status=status,
        user=scene.repository,
        store=scene.stage.settings.stores / f"{key}.git",
        request_key=str(follower.repository["request_key"]),
        histories=histories,
        blows=outcome.blows,
        expected=expected,
        served=served,
    )
    outcome.verdict = await asyncio.to_thread(examine, evidence)
    after = snapshot(scene.repository)
    touched = disturbed(scene.before, after, branch=str(status.branch))
    if touched:
        outcome.verdict.faults.append(f"touched in the user's repository: {sorted(touched)[:5]}")
    outcome.points = follower.points
    outcome.recoveries = recoveries(outcome.blows, histories)
    outcome.unstruck = len(outcome.plan.strikes) - len(outcome.blows)
