"""
When a host reconciles its disk: at a worker's start, and on a Temporal schedule.
"""

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

from contracts.queue import TaskQueue
from contracts.reconcile import Reconcile

EVERY = dt.timedelta(minutes=10)
_WORKFLOW = "ReconcileWorkflow"


async def reconcile_regularly(client: Client, host_id: str) -> None:
    """
    Make the host's schedule if there is none, and have it run now.

    A server that cannot do it does not keep the worker from working: the failure is logged.
    """
    name = f"reconcile/{host_id}"
    schedule = Schedule(
        action=ScheduleActionStartWorkflow(
            _WORKFLOW, Reconcile(host_id=host_id), id=name, task_queue=TaskQueue.WORKFLOWS
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=EVERY)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=EVERY),
    )
    try:
        await client.create_schedule(name, schedule, trigger_immediately=True)
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(name).trigger()
    except RPCError as error:
        structlog.get_logger("worker").warning("reconcile.unscheduled", reason=str(error))
