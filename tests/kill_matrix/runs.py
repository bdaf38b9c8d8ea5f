"""
One run: the reference request, its blows, its end without help, and the checker's verdict.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from contracts.request import RequestStatus
from tests.kill_matrix import audit, play
from tests.kill_matrix.audit import Evidence, Verdict
from tests.kill_matrix.following import Follower, Point
from tests.kill_matrix.plan import RunPlan, Strike
from tests.kill_matrix.recovery import Recovery, recoveries
from tests.kill_matrix.striking import Blow, Striker
from tests.stage import Handle, Stage, snapshot

END_SECONDS = 300.0
_LEAVING_SECONDS = 60.0


@dataclass
class Outcome:
    """
    What became of one run.

    Attributes:
        seconds: from its start to its end.
        points: that appeared, in order.
        unstruck: blows that found nothing to strike before the request ended.
        error: why the run could not be carried to its end; "" when it was.
    """

    plan: RunPlan
    seconds: float = 0.0
    blows: list[Blow] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    points: list[Point] = field(default_factory=list)
    unstruck: int = 0
    error: str = ""

    @property
    def faults(self) -> list[str]:
        """
        Everything wrong, in sentences.
        """
        return [*([self.error] if self.error else []), *self.verdict.faults]


async def carry_out(stage: Stage, plan: RunPlan, *, expected: str, seed: int) -> Outcome:
    """
    Carry out one run on a stage with server and worker, which are whole again at its end.
    """
    repository = stage.repository(f"wood-{plan.number:03d}", play.FILES)
    before = snapshot(repository)
    handle = await stage.start_request(
        f"{play.NAME}-{plan.number:03d}", repository, checks=list(play.CHECKS)
    )
    outcome = Outcome(plan)
    start = time.monotonic()
    striker = Striker(stage, random.Random(f"{seed} {plan.number}"))
    async with _struck(stage, handle, plan, striker) as follower:
        status = await stage.delivered(handle, seconds=END_SECONDS)
        outcome.seconds = time.monotonic() - start
        await striker.mended()
        await follower.ended(seconds=_LEAVING_SECONDS)
    await striker.close()
    outcome.blows, outcome.points = striker.blows, follower.points
    outcome.unstruck = len(plan.strikes) - len(striker.blows)
    served = (stage.server.pid, stage.worker.pid)
    await examine(outcome, stage, status, follower, expected=expected, served=served)
    outcome.verdict.faults += touched(repository, before, status)
    return outcome


@contextlib.asynccontextmanager
async def _struck(
    stage: Stage, handle: Handle, plan: RunPlan, striker: Striker
) -> AsyncIterator[Follower]:
    """
    Follow a request and let the blows fall while the block runs.
    """
    armed = {strike.at: strike for strike in plan.strikes if strike.at}
    due: asyncio.Queue[Strike] = asyncio.Queue()

    def appeared(point: Point) -> None:
        if point in armed:
            due.put_nowait(armed.pop(point))

    follower = Follower(await stage.client(), handle.id, appeared=appeared)
    timed = [strike for strike in plan.strikes if strike.at is None]
    striking = asyncio.create_task(_strike_all(due, timed, striker))
    try:
        yield follower
        # A blow that is falling is carried through: what it froze must go on again.
        await _finished(striking)
    finally:
        striking.cancel()
        await asyncio.gather(striking, return_exceptions=True)
        await follower.close()


async def _strike_all(
    due: asyncio.Queue[Strike], timed: list[Strike], striker: Striker
) -> None:
    """
    Strike at the points as they are due, or at the times one after the other.
    """
    for strike in timed:
        await striker.mended()
        await asyncio.sleep(strike.after)
        await asyncio.shield(striker.strike(strike))
    while True:
        await asyncio.shield(striker.strike(await due.get()))


async def _finished(striking: asyncio.Task[None]) -> None:
    striking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await striking
