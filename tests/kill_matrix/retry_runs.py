"""Runs that end too early, by a person's `cancel` or a failed task, and are retried."""

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass, field
from typing import Any

from contracts.request import RequestStatus
from contracts.visibility import RunState
from tests.kill_matrix import model_script
from tests.kill_matrix.fault_injector import FaultInjector, Kill
from tests.kill_matrix.history_follower import History, HistoryPoint, every_run, repository_of
from tests.kill_matrix.plan import FaultKind, RunPlan
from tests.kill_matrix.runs import END_SECONDS, RunResult, conclude, prepare_repository
from tests.local_deployment import Handle, LocalDeployment, until

_LEAVING_SECONDS = 60.0
_MOST_RETRIES = 6


@dataclass
class _Read:
    """The histories of every run of a request, read at its end."""

    histories: dict[str, History]
    repository: dict[str, Any]
    points: list[HistoryPoint] = field(default_factory=list)


async def execute_with_retries(
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
    fails = any(point.fault is FaultKind.FAIL for point in plan.kill_points)
    name = f"{model_script.FAILS if fails else model_script.NAME}-{plan.number:03d}"
    injector = FaultInjector(deployment, random.Random(f"{seed} {plan.number}"))
    start = time.monotonic()
    checks = list(model_script.CHECKS)
    handle = await deployment.start_request(name, prepared.repository, checks=checks)
    injecting = asyncio.create_task(_inject_all(plan, injector, deployment, handle))
    try:
        status = await _delivered(deployment, handle, injector)
        result.seconds = time.monotonic() - start
    finally:
        injecting.cancel()
        await asyncio.gather(injecting, return_exceptions=True)
        await injector.close()
        result.kills = sorted(injector.kills, key=lambda kill: kill.time)
    # A command that found no worker, since it was just killed, has started one.
    await deployment.stop_supervisor()
    client = await deployment.client()

    async def over() -> bool:
        own = f'WorkflowId STARTS_WITH "{handle.id}/" AND ExecutionStatus="Running"'
        return (await client.count_workflows(own)).count == 0 and not deployment.left_behind()

    with contextlib.suppress(TimeoutError):
        await until(over, seconds=_LEAVING_SECONDS)
    found = await every_run(client, handle.id)
    read = _Read(
        {str(number): history for number, history in enumerate(found)},
        next(filter(None, map(repository_of, found))),
    )
    served = (deployment.server.pid, deployment.worker.pid)
    await conclude(result, prepared, read, status=status, expected=expected, served=served)


async def _inject_all(
    plan: RunPlan, injector: FaultInjector, deployment: LocalDeployment, handle: Handle
) -> None:
    """Do what the plan says, one after the other; a task that fails does so by itself."""
    for point in plan.kill_points:
        if point.fault is FaultKind.FAIL:
            continue
        await injector.restarted()
        await asyncio.sleep(point.after)
        if point.fault is FaultKind.CANCEL:
            kill = Kill(point.fault, "", time.time())
            # One that has ended meanwhile is not there to be cancelled.
            if (await deployment.starter("cancel", handle.id)).returncode == 0:
                kill.ended = time.time()
                injector.kills.append(kill)
        else:
            await injector.inject(point)


async def _delivered(
    deployment: LocalDeployment, handle: Handle, injector: FaultInjector
) -> RequestStatus:
    """Wait for the delivery; whenever the request ends before, have it go on."""
    for _ in range(_MOST_RETRIES):
        ending = await deployment.ending(handle, seconds=END_SECONDS)
        if ending.state is RunState.DONE:
            assert ending.status is not None
            return ending.status
        if ending.state is RunState.FAILED:
            assert ending.status is not None
            assert model_script.TASKS[-1] in ending.reason, ending.reason
            injector.kills.append(Kill(FaultKind.FAIL, "", time.time()))
        retried = await deployment.starter("retry", handle.id, "--detach")
        assert retried.returncode == 3, retried
    raise AssertionError(f"not delivered after {_MOST_RETRIES} retries")
