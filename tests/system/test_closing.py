"""A request that is closed early, at any moment and in any way: the repository is unchanged,
everything is released, and the work is where the message to the person says.
"""

import contextlib
import datetime as dt
import os
import shlex
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from temporalio.client import WorkflowExecutionStatus

from contracts.reconcile import Reconcile, ReconcileReport
from contracts.request import RequestStatus
from contracts.task_queue import TaskQueue
from contracts.visibility import OC_KEPT, RunState
from domain import ids
from runtime.host import host_id
from tests.local_deployment import Handle, LocalDeployment, below, git, snapshot, until
from tests.model_scripts import (
    Json,
    Task,
    command,
    create,
    done,
    plan_of,
    play,
    script,
    turn,
    writes_file,
)

SMALL = {"README.md": "A small thing.\n"}
LONG_MS = 60_000
MARKS = {"command": "sleep 7471", "queue": "sleep 7472", "timeout": "sleep 7473"}
"""Commands that are found again among the processes."""
BOTH = f"test ! -e a.txt || test ! -e b.txt || exec {MARKS['queue']}"
"""Passes on the base and on each patch alone, and hangs where the queue joins the two."""

Moment = Callable[[LocalDeployment, Handle], Awaitable[object]]


def _hangs(name: str) -> Task:
    hand = (turn(create("half.txt", "half\n")), turn(command(MARKS[name], timeout_seconds=600)))
    return Task(id="a", coder=hand, writes=("half.txt",))


SIMPLE = writes_file("a", "a.txt", "a\n")
PLAYS: Sequence[list[Json]] = (
    play("close-planning", SIMPLE, planner=[plan_of([SIMPLE], delay_ms=LONG_MS)]),
    play("close-command", _hangs("command")),
    play("close-reviewing", Task(id="a", coder=(turn(create("a.txt", "a\n")), done()),
                                 writes=("a.txt",), reviewer=(turn(delay_ms=LONG_MS),))),
    play("close-review", SIMPLE),
    play("close-queue", SIMPLE, writes_file("b", "b.txt", "b\n")),
    play("close-delivery", SIMPLE),
    play("close-delivering", SIMPLE),
    play("close-terminate", SIMPLE),
    play("close-timeout", _hangs("timeout")),
)  # fmt: skip


async def _plans(deployment: LocalDeployment, handle: Handle) -> None:
    async def plans() -> bool:
        return "plans" in (await deployment.status(handle)).reason

    await until(plans)


async def _reviewing(deployment: LocalDeployment, handle: Handle) -> None:
    # The coder's last reply is there: what follows are the checks and the review.
    await until(lambda: sum(one.role == "coder" for one in deployment.journal(handle.id)) == 2)


def _runs(mark: str) -> Moment:
    async def runs(deployment: LocalDeployment, _handle: Handle) -> None:
        await until(lambda: any(mark in line for line in deployment.processes().values()))

    return runs


async def _queue_tests(deployment: LocalDeployment, handle: Handle) -> None:
    async def second_waits() -> bool:
        rows = (await deployment.status(handle)).tasks
        landed = [row for row in rows if row.commit]
        return len(landed) == 1 and any("merge queue" in row.reason for row in rows)

    await until(second_waits)
    await _runs(MARKS["queue"])(deployment, handle)


async def _asks(deployment: LocalDeployment, handle: Handle) -> None:
    await deployment.waiting(handle)


async def _delivers(deployment: LocalDeployment, handle: Handle) -> None:
    async def delivers() -> bool:
        return "delivers" in (await deployment.status(handle)).reason

    await until(delivers)


async def _reconciled(deployment: LocalDeployment) -> None:
    """Free what ended without cleaning up, as a worker does at its start and every ten minutes."""
    await (await deployment.client()).execute_workflow(
        "ReconcileWorkflow",
        Reconcile(host_id=host_id(deployment.settings)),
        id="reconcile/closing",
        task_queue=TaskQueue.WORKFLOWS,
        result_type=ReconcileReport,
        execution_timeout=dt.timedelta(seconds=60),
    )


async def _kept(handle: Handle) -> str:
    return str(await (await handle.describe()).memo_value(OC_KEPT))


def _listed(line: str) -> list[str]:
    """Run the command in the message to the person and return the refs that it lists."""
    ran = subprocess.run(shlex.split(line), capture_output=True, text=True, check=True)
    return [row.split("\t")[-1].split()[-1] for row in ran.stdout.splitlines()]


def _held(deployment: LocalDeployment, handle: Handle) -> list[str]:
    """Return the leases and the claim that a request still has."""
    leases = [lease for lease in deployment.leases() if handle.id in lease]
    claims = []
    for store in deployment.settings.stores.glob("*.git"):
        for path in below(store / ids.CLAIMS):
            with contextlib.suppress(FileNotFoundError):  # given back meanwhile
                if _claimed_by(store, path.read_text().strip()) == handle.id:
                    claims.append(str(path))
    return leases + claims


def _claimed_by(store: Path, blob: str) -> str:
    words = ["git", "-C", str(store), "cat-file", "-p", blob]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("name", "options", "moment"),
    [
        pytest.param("close-planning", {}, _plans, id="planning"),
        pytest.param("close-command", {}, _runs(MARKS["command"]), id="a-command-runs"),
        pytest.param("close-reviewing", {}, _reviewing, id="checks-and-review"),
        pytest.param("close-review", {"approve": ["review"]}, _asks, id="a-person-reviews"),
        pytest.param("close-queue", {"checks": [BOTH]}, _queue_tests, id="merge-queue"),
        pytest.param("close-delivery", {"approve": ["delivery"]}, _asks, id="delivery-waits"),
    ],
)
async def test_a_request_cancelled_at_any_moment_releases_everything(
    deployment: LocalDeployment, name: str, options: dict[str, object], moment: Moment
) -> None:
    """Cancelled at any moment: no lease, claim or process is left, the repository is the same to
    the byte, and `cancel` prints the command that lists the work.
    """
    repository = deployment.repository(name, SMALL)
    before = snapshot(repository)
    handle = await deployment.start_request(name, repository, **options)
    await moment(deployment, handle)

    said = await deployment.starter("cancel", handle.id)

    assert said.returncode == 0, said
    assert (await deployment.ending(handle)).state is RunState.CANCELLED
    assert _held(deployment, handle) == []
    assert snapshot(repository) == before
    await until(lambda: not any("sleep 747" in line for line in deployment.processes().values()))
    kept = await _kept(handle)
    assert kept in said.stdout + said.stderr
    works = [ref for ref in _listed(kept) if "/task/a/" in ref]
    assert works or name == "close-planning"


async def test_a_request_cancelled_during_a_failing_delivery_never_delivers(
    deployment: LocalDeployment,
) -> None:
    """Another git has locked the branch: the cancelled request ends at once, without a branch."""
    repository = deployment.repository("close-delivering", SMALL)
    lock = repository / ".git/refs/heads/made.lock"
    lock.touch()
    handle = await deployment.start_request("close-delivering", repository, branch="made")
    await _delivers(deployment, handle)

    said = await deployment.starter("cancel", handle.id)

    assert said.returncode == 0, said
    assert (await deployment.ending(handle, seconds=15)).state is RunState.CANCELLED
    assert _held(deployment, handle) == []
    lock.unlink()
    assert git(repository, "branch", "--list", "made") == ""


SLOW_PUSH = """#!/bin/sh
{git} "$@"; code=$?
case " $* " in *" push "*--force-with-lease*) touch {pushed}; sleep 2;; esac
exit $code
"""


@pytest.mark.minutes
async def test_a_worker_killed_after_its_push_leaves_a_request_that_ends_delivered(
    tmp_path: Path,
) -> None:
    """After the push the worker dies and the person cancels: the request ends delivered."""
    git_command, pushed = tmp_path / "git", tmp_path / "pushed"
    git_command.write_text(SLOW_PUSH.format(git=shutil.which("git"), pushed=pushed))
    git_command.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    async with LocalDeployment(
        script(play("close-unheard", SIMPLE)), environ={"PATH": path}
    ) as deployment:
        repository = deployment.repository("close-unheard", SMALL)
        handle = await deployment.start_request("close-unheard", repository, branch="made")
        await until(pushed.exists)
        await deployment.kill_worker()
        await handle.cancel()
        await deployment.start_worker()
        ended = await deployment.ending(handle)

        assert ended.state is RunState.DONE
        assert ended.status
        assert ended.status.commit == git(repository, "rev-parse", "made").strip()
        assert _held(deployment, handle) == []


async def test_the_reconciler_releases_everything_of_a_terminated_request(
    deployment: LocalDeployment,
) -> None:
    """Terminated during a review, it runs no clean-up: a reconciliation frees lease and claim, and
    `status` still shows where the work is.
    """
    repository = deployment.repository("close-terminate", SMALL)
    before = snapshot(repository)
    handle = await deployment.start_request("close-terminate", repository, approve=["review"])
    await deployment.waiting(handle)
    await handle.terminate("a test ends it")
    assert _held(deployment, handle) != []

    await _reconciled(deployment)

    assert _held(deployment, handle) == []
    assert snapshot(repository) == before
    await _told_where(deployment, handle)


@pytest.mark.minutes
async def test_the_reconciler_releases_everything_of_a_timed_out_request(
    deployment: LocalDeployment,
) -> None:
    """Ended by its execution timeout during a command: the command ends, a reconciliation frees the
    rest, and `status` still shows where the work is.
    """
    repository = deployment.repository("close-timeout", SMALL)
    before = snapshot(repository)
    handle = await (await deployment.client()).start_workflow(
        "RequestWorkflow",
        {"repository": str(repository), "request": "close-timeout"},
        id="request/close-timeout",
        task_queue=TaskQueue.WORKFLOWS,
        result_type=RequestStatus,
        execution_timeout=dt.timedelta(seconds=12),
    )
    await _runs(MARKS["timeout"])(deployment, handle)

    async def over() -> bool:
        return (await handle.describe()).status is WorkflowExecutionStatus.TIMED_OUT

    await until(over)
    await until(lambda: not any(MARKS["timeout"] in one for one in deployment.processes().values()))
    await _reconciled(deployment)

    assert _held(deployment, handle) == []
    assert snapshot(repository) == before
    await _told_where(deployment, handle)


async def _told_where(deployment: LocalDeployment, handle: Handle) -> None:
    """Check that `status` prints the command that lists the work, and that it does list it."""
    said = await deployment.starter("status", handle.id)
    assert said.returncode == 0, said
    kept = await _kept(handle)
    assert kept in said.stdout + said.stderr
    assert [ref for ref in _listed(kept) if "/task/a/" in ref]
