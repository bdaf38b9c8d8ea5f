"""The worker process: settings -> clients -> activities -> task queues.

The only place that knows every layer; it decides nothing.
"""

import asyncio
import datetime as dt
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import structlog
from temporalio.client import Client
from temporalio.worker import Worker

from activities.agent_setup import AgentSetup
from activities.checks import CleanChecks
from activities.disk_space import DiskSpaceInterceptor
from activities.merge_queue import MergeQueueClient
from activities.model import MessagesModel
from activities.patches import StorePatches
from activities.policy import CurrentPolicy
from activities.reconcile import HostReconciler
from activities.repository import UserRepositories
from activities.survey import BaseSurveys
from activities.tools.dispatch import WorktreeTools
from activities.worktrees import PooledWorktrees
from contracts.repository import Environment
from contracts.task_queue import TaskQueue, checks_queue, host_queue
from infra.anthropic.client import MessagesClient
from infra.commands import CommandRunner
from infra.disk_space import low_space_reason
from infra.roles.files import RoleFiles
from infra.sandbox import Sandbox, SandboxUnavailable, end_orphan, find_orphans
from infra.store.open_stores import OpenStores
from infra.worktrees.open_pools import OpenPools
from runtime import logging, settings
from runtime.connect import connect
from runtime.errors import SetupError
from runtime.host import host_id
from runtime.interceptors import OrchestInterceptor
from runtime.metrics import telemetry_runtime
from runtime.oom import install_oom_handler
from runtime.process import UMASK, drop_git_variables, take_umask
from runtime.records import WorkerRecord
from runtime.services.backup import lost_period
from runtime.services.child_process import end_process
from runtime.services.reconcile_schedule import reconcile_regularly
from runtime.services.watchdog import send_heartbeats
from runtime.settings import Settings
from runtime.workflow_sandbox import workflow_runner
from workflows.agent import AgentWorkflow
from workflows.merge_queue import MergeQueueWorkflow
from workflows.reconcile import ReconcileWorkflow
from workflows.request import RequestWorkflow
from workflows.subtask import SubtaskWorkflow

WORKFLOWS: tuple[type, ...] = (
    RequestWorkflow,
    SubtaskWorkflow,
    AgentWorkflow,
    MergeQueueWorkflow,
    ReconcileWorkflow,
)
STICKY = dt.timedelta(seconds=1)
"""How long a workflow task waits for the worker that caches the workflow, which may be killed."""
BEAT_THROTTLE = dt.timedelta(seconds=0.5)
SANDBOX_UID_BASE = 60_000

Activities = Mapping[str, Sequence[Callable[..., Any]]]
"""The activities of this host, by the task queue that serves them."""


@asynccontextmanager
async def build_activities(
    config: Settings, client: Client, *, sandbox: Sandbox, umask: int = UMASK
) -> AsyncIterator[Activities]:
    """Make the activities, closed at the end; `umask` is for the user's repository."""
    host = host_id(config)
    stores = OpenStores(config.stores)
    uid_base = SANDBOX_UID_BASE if os.geteuid() == 0 else None
    pools = OpenPools(stores, config.worktrees, host_id=host, uid_base=uid_base)
    own = Environment(path=config.path, virtual_env=config.virtual_env)
    runner = CommandRunner(sandbox, hide=(config.home,))
    messages = _messages_client(config)
    setup = AgentSetup(
        RoleFiles(), model_for=config.model_for, effort=config.effort, prices=config.prices
    )
    model = MessagesModel(stores, messages, setup)
    policy = CurrentPolicy()
    repositories = UserRepositories(
        stores, host_id=host, fallback=own, umask=umask, author=config.author
    )
    worktrees = PooledWorktrees(pools.get)
    patches = StorePatches(stores)
    tools = WorktreeTools(stores, pools, runner)
    checks = CleanChecks(stores, pools, runner)
    surveys = BaseSurveys(stores, pools, runner)
    queues = MergeQueueClient(client, stores)
    reconciler = HostReconciler(
        stores, pools, client, home=config.home, forgotten=lambda: lost_period(config.database)
    )
    try:
        yield {
            TaskQueue.MODEL: [model.open_conversation, model.call_model],
            TaskQueue.GIT: [
                repositories.open_repository,
                repositories.deliver_branch,
                repositories.withdraw_delivery,
                repositories.close_request,
                worktrees.lease_worktree,
                worktrees.release_worktree,
                patches.make_patch,
                patches.rebase_patch,
                patches.build_chain,
                patches.land_chain,
                queues.enqueue_patch,
                policy.judge_plan,
                policy.judge_review,
            ],
            host_queue(host): [
                tools.read_files,
                tools.apply_edit,
                tools.run_command,
                tools.call_tool,
                reconciler.reconcile,
            ],
            checks_queue(host): [checks.run_checks, surveys.survey_base, surveys.look_up_commands],
        }
    finally:
        await messages.close()
        await stores.close()


def _messages_client(config: Settings) -> MessagesClient:
    return MessagesClient(
        api_key=config.model_key.get_secret_value() if config.model_key else None,
        auth_token=config.model_token.get_secret_value() if config.model_token else None,
        base_url=config.model_base_url,
    )


def _build_workers(config: Settings, client: Client, activities: Activities) -> list[Worker]:
    """Return one worker a task queue, each with its own slots."""
    host = host_id(config)
    slots = {
        TaskQueue.MODEL: 32,
        TaskQueue.GIT: 8,
        host_queue(host): 16,
        checks_queue(host): config.check_slots,
    }
    disk_space = DiskSpaceInterceptor(config.home, config.stores, config.worktrees)
    grace = dt.timedelta(seconds=config.grace_seconds)
    workflows = Worker(
        client,
        task_queue=TaskQueue.WORKFLOWS,
        workflows=WORKFLOWS,
        workflow_runner=workflow_runner(),
        interceptors=[OrchestInterceptor()],
        sticky_queue_schedule_to_start_timeout=STICKY,
        graceful_shutdown_timeout=grace,
    )
    return [
        workflows,
        *(
            Worker(
                client,
                task_queue=queue,
                activities=activities[queue],
                interceptors=[OrchestInterceptor(), disk_space],
                max_concurrent_activities=slots[queue],
                max_heartbeat_throttle_interval=BEAT_THROTTLE,
                default_heartbeat_throttle_interval=BEAT_THROTTLE,
                graceful_shutdown_timeout=grace,
            )
            for queue in activities
        ),
    ]


async def run(config: Settings, *, stop: asyncio.Event, umask: int = UMASK) -> None:
    """Serve every task queue of this host until `stop` is set."""
    log = structlog.get_logger("worker")
    client = await connect(
        config, runtime=telemetry_runtime(config), retry_for=dt.timedelta(seconds=30)
    )
    await _wait_for_disk_space(config, stop)
    await asyncio.to_thread(_end_orphans, config)
    sandbox = Sandbox()
    await _probe(sandbox, config)
    async with AsyncExitStack() as stack:
        activities = build_activities(config, client, sandbox=sandbox, umask=umask)
        workers = _build_workers(config, client, await stack.enter_async_context(activities))
        for worker in workers:
            await stack.enter_async_context(worker)
        WorkerRecord(pid=os.getpid()).write(config)
        reconciling = asyncio.create_task(reconcile_regularly(client, host_id(config)))
        log.info("worker.ready", host_id=host_id(config), sandbox=sandbox.available)
        await stop.wait()
        reconciling.cancel()
        log.info("worker.stopping")
        # All at once: one grace, not one each.
        await asyncio.gather(*(worker.shutdown() for worker in workers))


async def _wait_for_disk_space(config: Settings, stop: asyncio.Event) -> None:
    """Wait until the disk has room: without any, the sandbox's trial would fail for ever."""
    logged = False
    while not stop.is_set() and (
        reason := low_space_reason(config.home, config.stores, config.worktrees)
    ):
        if not logged:
            structlog.get_logger("worker").warning("disk.full", reason=reason)
            logged = True
        await asyncio.sleep(1)


def _end_orphans(config: Settings) -> None:
    """End what a killed worker left running, before any of its work is taken up again."""
    for pid in find_orphans(config.home):
        if end_orphan(pid, config.home):
            structlog.get_logger("worker").warning("sandbox.orphan", pid=pid)


async def _probe(sandbox: Sandbox, config: Settings) -> None:
    """Try the sandbox; where it does not hold, every command is refused with the reason."""
    scratch = config.run / "canary"
    await asyncio.to_thread(scratch.mkdir, parents=True, exist_ok=True)
    try:
        await sandbox.probe(scratch, hide=(config.home,))
    except SandboxUnavailable as error:
        structlog.get_logger("worker").error("sandbox.unavailable", reason=str(error))


def _exempt_imports_from_collection() -> None:
    """Keep full collections, in the middle of a turn, from a million objects that never die."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def main() -> int:
    """Run the worker until it is told to stop; 1 when it could not start."""
    try:
        drop_git_variables(os.environ)
        umask = take_umask()
        config = settings.load()
        config.ensure_home()
        logging.configure(config)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        install_oom_handler(loop)
        heartbeats = asyncio.create_task(send_heartbeats(config.heartbeat_fd))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        _exempt_imports_from_collection()
        await run(config, stop=stop, umask=umask)
        heartbeats.cancel()
    except SetupError as error:
        sys.stderr.write(f"orchestcode worker: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    # The workflow sandbox may import this file again; only the process itself runs it.
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    end_process(asyncio.run(main()))
