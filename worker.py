"""The worker process: settings -> clients -> activities -> task queues.

The only place that knows every layer; it decides nothing.
"""

import asyncio
import datetime as dt
import gc
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from temporalio.client import Client
from temporalio.worker import Worker

from activities.agent_setup import AgentSetup
from activities.checks import CleanChecks
from activities.continuation import TaskContinuations
from activities.disk_space import DiskSpaceInterceptor
from activities.estimates import PastEstimates
from activities.merge_queue import MergeQueueClient
from activities.model import MessagesModel
from activities.patches import StorePatches
from activities.permissions import PinnedPermissions
from activities.policy import CurrentPolicy
from activities.reconcile import HostReconciler
from activities.repository import UserRepositories
from activities.setup import SetupSteps
from activities.survey import BaseSurveys
from activities.tools.dispatch import WorktreeTools
from activities.worktrees import PooledWorktrees
from contracts import roles
from contracts.clean_up import CleanUp
from contracts.repository import Environment
from contracts.task_queue import TaskQueue, checks_queue, host_queue
from domain.checkpoints import checkpoint_limits
from domain.command_limits import CommandLimits, command_limits
from domain.text import Redact
from infra import host_limits
from infra.anthropic.client import MessagesClient
from infra.cloud_lane import CloudLane
from infra.commands import CommandRunner
from infra.disk_space import low_space_reason
from infra.layers import Layers
from infra.live.writer import LiveReplies
from infra.memory.recall import recall_cache
from infra.roles.files import RoleFiles
from infra.sandbox import Sandbox, SandboxUnavailable, end_orphan, find_orphans
from infra.start_codes import StartCodes
from infra.store.open_stores import OpenStores
from infra.symbols.index import SymbolIndex
from infra.worktrees.open_pools import OpenPools
from infra.worktrees.users import first_user
from runtime import logging, settings
from runtime.connect import connect
from runtime.errors import SetupError
from runtime.home_secret import home_secret
from runtime.host import host_id
from runtime.interceptors import OrchestInterceptor
from runtime.metrics import telemetry_runtime
from runtime.oom import install_oom_handler
from runtime.process import UMASK, drop_git_variables, take_umask
from runtime.records import DiskUse, WorkerRecord
from runtime.redaction import redactor
from runtime.services.backup import lost_period
from runtime.services.child_process import end_process
from runtime.services.reconcile_schedule import reconcile_regularly
from runtime.services.waking import wake_waiting
from runtime.services.watchdog import send_heartbeats
from runtime.settings import Settings
from runtime.version import ROOT, build_id
from runtime.worker_settings import settings_digests
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
_CLI_ADDRESSES = ("127.0.0.1:7233", "localhost:7233")
"""Where the Temporal CLI looks for a service by itself."""
BEAT_THROTTLE = dt.timedelta(seconds=0.5)

Activities = Mapping[str, Sequence[Callable[..., Any]]]
"""The activities of this host, by the task queue that serves them."""


@dataclass(frozen=True)
class _Host:
    """What the activities of this host share."""

    config: Settings
    client: Client
    stores: OpenStores
    pools: OpenPools
    runner: CommandRunner
    layers: Layers
    roles: AgentSetup
    redact: Redact


def _host(config: Settings, client: Client, sandbox: Sandbox) -> _Host:
    stores, layers = OpenStores(config.stores), Layers(config.layers)
    limits = checkpoint_limits(file_mb=config.checkpoint_file_mb, all_mb=config.checkpoint_mb)
    return _Host(
        config,
        client,
        stores,
        OpenPools(
            stores,
            config.worktrees,
            host_id=host_id(config),
            uid_base=first_user(config.home),
            limits=limits,
        ),
        CommandRunner(
            sandbox,
            hide=(config.home,),
            limits=_command_limits(config),
            show=config.visible_paths,
            layers=layers,
        ),
        layers,
        AgentSetup(
            RoleFiles(),
            model_for=config.model_for,
            effort=config.effort,
            fallback=config.fallback_model,
            prices=config.prices,
            window_tokens=config.window_tokens,
        ),
        redactor(config.secrets()),
    )


@asynccontextmanager
async def build_activities(
    config: Settings, client: Client, *, sandbox: Sandbox, umask: int = UMASK
) -> AsyncIterator[Activities]:
    """Make the activities, closed at the end; `umask` is for the user's repository."""
    host = _host(config, client, sandbox)
    messages = _messages_client(config)
    live = LiveReplies(config.live, host.redact, config.secrets())
    live.sweep()
    secret = home_secret(config)
    starts = StartCodes(secret, config.home / "starts") if config.answer_codes else None
    try:
        yield {
            **(_of_the_model(host, messages, live) if config.takes_model_calls else {}),
            TaskQueue.GIT: _of_the_store(host, CurrentPolicy(secret), starts, umask),
            host_queue(host_id(config)): _of_worktrees(host, starts),
            checks_queue(host_id(config)): _of_checks(host),
        }
    finally:
        live.close()
        await messages.close()
        await host.stores.close()


def _of_the_model(host: _Host, messages: MessagesClient, live: LiveReplies) -> Activities:
    symbols = SymbolIndex(host.config.home / "cache" / "symbols")
    model = MessagesModel(
        host.stores, messages, host.roles, redact=host.redact, live=live, symbols=symbols
    )
    return {TaskQueue.MODEL: [model.open_conversation, model.call_model, model.hand_over]}


def _of_worktrees(host: _Host, starts: StartCodes | None) -> Sequence[Callable[..., Any]]:
    config = host.config
    tools = WorktreeTools(
        host.stores, host.pools, host.runner, redact=host.redact, recall=recall_cache(config.home)
    )
    reconciler = HostReconciler(
        host.stores,
        host.pools,
        host.client,
        home=config.home,
        layers=host.layers,
        forgotten=lambda: lost_period(config.database),
        starts=starts,
        settled=_settled(config),
        note_use=lambda size: _note_use(config, size),
    )
    return [
        tools.read_files,
        tools.apply_edit,
        tools.run_command,
        tools.call_tool,
        reconciler.reconcile,
    ]


def _of_checks(host: _Host) -> Sequence[Callable[..., Any]]:
    config = host.config
    checks = CleanChecks(host.stores, host.pools, host.runner, redact=host.redact)
    surveys = BaseSurveys(host.stores, host.pools, host.runner)
    setups = SetupSteps(
        host.stores,
        host.pools,
        host.runner,
        host.layers,
        redactor=lambda secrets: redactor((*config.secrets(), *secrets)),
        environ=config.environment,
    )
    return [checks.run_checks, surveys.survey_base, surveys.look_up_commands, setups.run_setup]


def _service_options(client: Client) -> tuple[str, ...]:
    """Return the options that the Temporal CLI needs, where the service is not its default."""
    address, namespace = client.service_client.config.target_host, client.namespace
    by_address = () if address in _CLI_ADDRESSES else ("--address", address)
    return by_address if namespace == "default" else (*by_address, "--namespace", namespace)


def _of_the_store(
    host: _Host, policy: CurrentPolicy, starts: StartCodes | None, umask: int
) -> Sequence[Callable[..., Any]]:
    config = host.config
    own_users = first_user(config.home) is not None
    cloud = CloudLane.of_host(config.cloud_minutes, own_users=own_users)
    repositories = UserRepositories(
        host.stores,
        host_id=host_id(config),
        fallback=Environment(path=config.path, virtual_env=config.virtual_env),
        umask=umask,
        author=config.author,
        instructions=config.instruction_files,
        permissions=config.permissions_file,
        starts=starts,
        service=_service_options(host.client),
        layers=host.layers,
        cloud=cloud,
    )
    worktrees = PooledWorktrees(host.pools.get, cloud=cloud)
    permissions = PinnedPermissions(host.stores)
    patches = StorePatches(host.stores, host.layers)
    queues = MergeQueueClient(host.client, host.stores)
    past = PastEstimates(
        host.stores, coder_model=lambda choice: host.roles.configure(roles.CODER, choice).model
    )
    continuations = TaskContinuations(host.stores, redact=host.redact)
    return [
        repositories.open_repository,
        repositories.resume_request,
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
        policy.judge_code,
        past.estimate_cost,
        continuations.continue_task,
        continuations.tell_attempts,
        permissions.allow_rules,
    ]


def _settled(config: Settings) -> CleanUp | None:
    """Return what finished requests are deleted by themselves: none, unless a person said so."""
    if config.retention_days is None and config.disk_budget_mb is None:
        return None
    return CleanUp(
        retention_days=config.retention_days or 0,
        budget_bytes=(config.disk_budget_mb or 0) * 1_000_000,
    )


def _note_use(config: Settings, size: int) -> None:
    DiskUse(pid=os.getpid(), stores_bytes=size, at=time.time()).write(config)


def _command_limits(config: Settings) -> CommandLimits:
    return command_limits(
        memory_bytes=host_limits.memory_bytes(),
        processors=os.cpu_count() or 1,
        own_processes=host_limits.own_processes(),
        memory_mb=config.command_memory_mb,
        processes=config.command_processes,
        disk_mb=config.command_disk_mb,
    )


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
    # A reply that is broken off is paid for, and asked for once more.
    replies = dt.timedelta(seconds=config.reply_grace_seconds)
    build = build_id(ROOT)
    workflows = Worker(
        client,
        task_queue=TaskQueue.WORKFLOWS,
        workflows=WORKFLOWS,
        workflow_runner=workflow_runner(),
        interceptors=[OrchestInterceptor()],
        sticky_queue_schedule_to_start_timeout=STICKY,
        graceful_shutdown_timeout=grace,
        build_id=build,
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
                graceful_shutdown_timeout=replies if queue == TaskQueue.MODEL else grace,
                build_id=build,
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
        WorkerRecord(pid=os.getpid(), settings=settings_digests(config)).write(config)
        reconciling = asyncio.create_task(reconcile_regularly(client, host_id(config)))
        waking = asyncio.create_task(wake_waiting(client))
        log.info("worker.ready", host_id=host_id(config), sandbox=sandbox.available)
        await stop.wait()
        reconciling.cancel()
        waking.cancel()
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
        await sandbox.probe(scratch, hide=(config.home,), show=config.visible_paths)
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
