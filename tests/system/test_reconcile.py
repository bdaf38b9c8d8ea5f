"""What ended workflows hold is freed; what has no explanation is left alone."""

from datetime import timedelta
from pathlib import Path

from contracts.reconcile import Reconcile, ReconcileReport
from contracts.task_queue import TaskQueue
from runtime.host import host_id
from tests.local_deployment import Handle, LocalDeployment, git, until
from tests.model_scripts import Task, command, create, play, turn

SMALL = {"README.md": "A small thing.\n"}
PLAYS = [
    play(
        "terminated",
        Task(
            id="hangs",
            coder=(
                turn(create("half.txt", "half\n")),
                turn(command("echo more > more.txt; sleep 7373", timeout_seconds=600)),
            ),
            writes=("half.txt",),
        ),
    ),
]


async def _reconcile(deployment: LocalDeployment, *, dry_run: bool) -> ReconcileReport:
    host = host_id(deployment.settings)
    report: ReconcileReport = await (await deployment.client()).execute_workflow(
        "ReconcileWorkflow",
        Reconcile(host_id=host, dry_run=dry_run),
        id=f"reconcile/test-{dry_run}",
        task_queue=TaskQueue.WORKFLOWS,
        result_type=ReconcileReport,
        execution_timeout=timedelta(seconds=60),
    )
    return report


async def _terminated(deployment: LocalDeployment, repository: Path) -> Handle:
    handle = await deployment.start_request("terminated", repository)

    async def runs_its_command() -> bool:
        return any("sleep 7373" in line for line in deployment.processes().values())

    await until(runs_its_command)
    await handle.terminate("a test ends it without a word")

    async def command_ended() -> bool:
        return not await runs_its_command()

    await until(command_ended)
    return handle


async def test_a_terminated_request_frees_its_worktrees_and_keeps_its_work(
    deployment: LocalDeployment,
) -> None:
    """After a terminate, which runs no clean-up, a dry run names the leases and changes nothing; a
    reconciliation frees them; the work is on refs of the store, and the repository is untouched.
    """
    shop = deployment.repository("terminated", SMALL)
    before = git(shop, "for-each-ref")
    handle = await _terminated(deployment, shop)

    would = await _reconcile(deployment, dry_run=True)
    held = [lease for lease in deployment.leases() if handle.id in lease]
    did = await _reconcile(deployment, dry_run=False)
    left = [lease for lease in deployment.leases() if handle.id in lease]

    assert held
    assert left == []
    assert [line for line in would.mended if handle.id in line]
    assert set(would.mended) <= set(did.mended)
    described = await handle.describe()
    kept = str(await described.memo_value("OcKept"))
    store = Path(kept.split()[2])
    refs = git(store, "for-each-ref", kept.rsplit(maxsplit=1)[-1])
    assert "/task/hangs/checkpoint/" in refs
    assert git(shop, "for-each-ref") == before


async def test_reconciling_again_finds_nothing(deployment: LocalDeployment) -> None:
    """A second reconciliation finds nothing left to free."""
    await _reconcile(deployment, dry_run=False)

    assert (await _reconcile(deployment, dry_run=False)).mended == ()
