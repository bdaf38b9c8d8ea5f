"""
When a host reconciles its disk: at a worker's start, after a freeze, and on a Temporal schedule.
"""

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

EVERY = dt.timedelta(minutes=10)
_FROZEN_SECONDS = 4.0
_LOOK_SECONDS = 1.0
_SETTLE_SECONDS = 3.0
"""What a frozen process had in hand has come to its end by then."""
_WORKFLOW = "ReconcileWorkflow"


async def reconcile_regularly(client: Client, host_id: str) -> None:
    """
    Make the host's schedule if there is none; have it run now and after each freeze of the process.

    A frozen worker may wake in the middle of taking something for a workflow that has ended.
    A server that cannot do it does not keep the worker from working: the failure is logged.
    """
    await _reconcile(client, host_id)
    while True:
        await _frozen()
        await asyncio.sleep(_SETTLE_SECONDS)
        await _reconcile(client, host_id)


async def _frozen() -> None:
    """Wait until this process has stood still for so long that its work was given to others."""
    loop = asyncio.get_running_loop()
    seen = loop.time()
    while loop.time() - seen < _FROZEN_SECONDS:
        seen = loop.time()
        await asyncio.sleep(_LOOK_SECONDS)


async def _reconcile(client: Client, host_id: str) -> None:
    name = f"reconcile/{host_id}"
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            _WORKFLOW, Reconcile(host_id=host_id), id=name, task_queue=TaskQueue.WORKFLOWS
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=EVERY)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=EVERY),
    )
    try:
        with contextlib.suppress(ScheduleAlreadyRunningError):
            await client.create_schedule(name, schedule, trigger_immediately=True)
            return
        await client.get_schedule_handle(name).trigger()
    except RPCError as error:
        structlog.get_logger("worker").warning("reconcile.unscheduled", reason=str(error))
