"""When a host reconciles its disk: at a worker's start, after a freeze, by a Temporal schedule."""

import asyncio
import contextlib
import datetime as dt

import structlog
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
)
from temporalio.service import RPCError

from contracts.reconcile import Reconcile
from contracts.task_queue import TaskQueue
from runtime.background_task import loop_time

INTERVAL = dt.timedelta(minutes=10)
_FROZEN_SECONDS = 4.0
_POLL_SECONDS = 1.0
_SETTLE_SECONDS = 3.0
"""By then the work that a frozen process had begun has ended."""
_WORKFLOW = "ReconcileWorkflow"


async def reconcile_regularly(client: Client, host_id: str) -> None:
    """Create the host's schedule and trigger it now and after each freeze of this process.

    A worker may thaw in the middle of leasing something for a workflow that has ended. A server
    that refuses does not keep the worker from working: the failure is logged.
    """
    await _reconcile(client, host_id)
    while True:
        await _wait_for_freeze()
        await asyncio.sleep(_SETTLE_SECONDS)
        await _reconcile(client, host_id)


async def _wait_for_freeze() -> None:
    """Wait until this process was frozen for so long that its tasks were given to others."""
    seen = loop_time()
    while loop_time() - seen < _FROZEN_SECONDS:
        seen = loop_time()
        await asyncio.sleep(_POLL_SECONDS)


async def _reconcile(client: Client, host_id: str) -> None:
    name = f"reconcile/{host_id}"
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            _WORKFLOW, Reconcile(host_id=host_id), id=name, task_queue=TaskQueue.WORKFLOWS
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=INTERVAL)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=INTERVAL),
    )
    try:
        with contextlib.suppress(ScheduleAlreadyRunningError):
            await client.create_schedule(name, schedule, trigger_immediately=True)
            return
        await client.get_schedule_handle(name).trigger()
    except RPCError as error:
        structlog.get_logger("worker").warning("reconcile.unscheduled", reason=str(error))
