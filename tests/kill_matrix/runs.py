"""One run: the reference request, its kills, its end without help, and the audit."""

import asyncio
import contextlib
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from contracts.request import RequestStatus
from tests.kill_matrix import model_script
from tests.kill_matrix.audit import AuditReport, Evidence, examine
from tests.kill_matrix.fault_injector import FaultInjector, Kill
from tests.kill_matrix.history_follower import Follower, History, HistoryPoint
from tests.kill_matrix.plan import FaultKind, KillPoint, Mode, RunPlan
from tests.kill_matrix.recovery import Recovery, recoveries
from tests.local_deployment import LocalDeployment, disturbed, snapshot, until

END_SECONDS = 300.0
_LEAVING_SECONDS = 60.0
_WAKING_SECONDS = 20.0
UNDISTURBED = RunPlan(0, Mode.EVENT, ())
UNDISTURBED_GOAL = RunPlan(0, Mode.GOAL, ())
"""The reference request with a goal: rounds of fresh tasks follow it, and its tree is another."""

_ASKED: Mapping[Mode, Mapping[str, str]] = MappingProxyType(
    {
        Mode.GOAL: MappingProxyType({"until": model_script.GOAL}),
        Mode.CLOUD: MappingProxyType({"lane": "cloud"}),
    }
)


@dataclass
class RunResult:
    """What became of one run.

    Attributes:
        seconds: from its start to its end.
        points: events that appeared, in order.
        missed: kill points that the run ended before.
        error: why the run was not completed; "" when it was.
        evidence: what the audit read; None without an audit.
    """

    plan: RunPlan
    seconds: float = 0.0
    kills: list[Kill] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    audit: AuditReport = field(default_factory=AuditReport)
    points: list[HistoryPoint] = field(default_factory=list)
    missed: int = 0
    error: str = ""
    evidence: Evidence | None = None

    @property
    def problems(self) -> list[str]:
        """Everything wrong, in sentences."""
        return [*([self.error] if self.error else []), *self.audit.problems]

    @contextlib.contextmanager
    def recording_error(self) -> Iterator[None]:
        """Record an error of the block as this run's, so that the other runs continue."""
        try:
            yield
        except Exception as error:  # noqa: BLE001
            self.error = f"{type(error).__name__}: {error}"[:4_000]


@dataclass(frozen=True)
class PreparedRepository:
    """The repository of one run, and a snapshot from before it."""

    deployment: LocalDeployment
    repository: Path
    before: dict[str, str]


def prepare_repository(deployment: LocalDeployment, number: int) -> PreparedRepository:
    """Make the repository of one run."""
    repository = deployment.repository(f"wood-{number:03d}", model_script.FILES)
    return PreparedRepository(deployment, repository, snapshot(repository))


async def execute(
    deployment: LocalDeployment, plan: RunPlan, *, expected: str, seed: int
) -> RunResult:
    """Execute one run on a deployment whose server and worker run again at its end."""
    result = RunResult(plan)
    with result.recording_error():
        await _execute(result, deployment, expected=expected, seed=seed)
    return result


async def _execute(
    result: RunResult, deployment: LocalDeployment, *, expected: str, seed: int
) -> None:
    plan, prepared = result.plan, prepare_repository(deployment, result.plan.number)
    injector = FaultInjector(deployment, random.Random(f"{seed} {plan.number}"))
    armed = {kill_point.at: kill_point for kill_point in plan.kill_points if kill_point.at}
    due: asyncio.Queue[KillPoint] = asyncio.Queue()

    def appeared(point: HistoryPoint) -> None:
        if point in armed:
            due.put_nowait(armed.pop(point))

    start = time.monotonic()
    name = f"{model_script.NAME}-{plan.number:03d}"
    handle = await deployment.start_request(
        name, prepared.repository, checks=list(model_script.CHECKS), **_ASKED.get(plan.mode, {})
    )
    follower = Follower(await deployment.client(), handle.id, appeared=appeared)
    timed = [kill_point for kill_point in plan.kill_points if kill_point.at is None]
    injecting = asyncio.create_task(_inject_all(due, timed, injector))
    try:
        status = await deployment.delivered(handle, seconds=END_SECONDS)
        result.seconds = time.monotonic() - start
        injecting.cancel()
        await _release_after_freeze(deployment, injector)
    finally:
        injecting.cancel()
        await asyncio.gather(injecting, return_exceptions=True)
        await injector.close()
        result.kills = injector.kills
    try:
        await follower.ended(seconds=_LEAVING_SECONDS)
    finally:
        await follower.close()
    served = (deployment.server.pid, deployment.worker.pid)
    await conclude(result, prepared, follower, status=status, expected=expected, served=served)


async def _release_after_freeze(deployment: LocalDeployment, injector: FaultInjector) -> None:
    """Let a worker that was frozen until after the end release what it holds."""
    if any(kill.fault in {FaultKind.FREEZE, FaultKind.ZOMBIE} for kill in injector.kills):
        await injector.settle()
        with contextlib.suppress(TimeoutError):
            await until(lambda: not deployment.left_behind(), seconds=_WAKING_SECONDS)


async def _inject_all(
    due: asyncio.Queue[KillPoint], timed: Sequence[KillPoint], injector: FaultInjector
) -> None:
    """Inject the timed kills one after the other, then those of events as they appear."""
    for kill_point in timed:
        await injector.restarted()
        await asyncio.sleep(kill_point.after)
        await injector.inject(kill_point)
    while True:
        await injector.inject(await due.get())


class Histories(Protocol):
    """What was read of a request: its histories, the repository that it opened, its points."""

    histories: dict[str, History]
    repository: dict[str, Any]
    points: list[HistoryPoint]


async def conclude(
    result: RunResult,
    prepared: PreparedRepository,
    follower: Histories,
    *,
    status: RequestStatus,
    expected: str,
    served: Sequence[int],
) -> None:
    """Audit what a run left, and measure how it recovered."""
    histories = list(follower.histories.values())
    key = str(follower.repository["key"])
    evidence = result.evidence = Evidence(
        deployment=prepared.deployment,
        status=status,
        user=prepared.repository,
        store=prepared.deployment.settings.stores / f"{key}.git",
        request_key=str(follower.repository["request_key"]),
        histories=histories,
        kills=result.kills,
        expected=expected,
        served=served,
    )
    result.audit = await asyncio.to_thread(examine, evidence)
    after = snapshot(prepared.repository)
    touched = disturbed(prepared.before, after, branch=str(status.branch))
    if touched:
        result.audit.problems.append(f"touched in the user's repository: {sorted(touched)[:5]}")
    result.points = follower.points
    result.recoveries = recoveries(result.kills, histories)
    result.missed = len(result.plan.kill_points) - len(result.kills)
