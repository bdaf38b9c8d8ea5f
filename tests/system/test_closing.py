"""
A request that is closed before its end, at any moment and in any way: the person's repository stays
as it was, everything is given back, and the work is where the person is told.
"""

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
from tests.local_deployment import Handle, LocalDeployment, git, snapshot, until
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
    play("close-queue", SIMPLE),
    play("close-delivery", SIMPLE),
    play("close-delivering", SIMPLE),
    play("close-terminate", SIMPLE),
    play("close-timeout", _hangs("timeout")),
)  # fmt: skip


async def _plans(stage: LocalDeployment, handle: Handle) -> None:
    async def plans() -> bool:
        return "plans" in (await stage.status(handle)).reason

    await until(plans)


async def _reviewing(stage: LocalDeployment, handle: Handle) -> None:
    # The coder's last reply is there: what follows are the checks and the review.
    await until(lambda: sum(one.role == "coder" for one in stage.journal(handle.id)) == 2)


def _runs(mark: str) -> Moment:
    async def runs(stage: LocalDeployment, _handle: Handle) -> None:
        await until(lambda: any(mark in line for line in stage.processes().values()))

    return runs


async def _asks(stage: LocalDeployment, handle: Handle) -> None:
    await stage.waiting(handle)


async def _delivers(stage: LocalDeployment, handle: Handle) -> None:
    async def delivers() -> bool:
        return "delivers" in (await stage.status(handle)).reason

    await until(delivers)


async def _reconciled(stage: LocalDeployment) -> None:
    """Free what ended without a word, as a worker does at its start and every ten minutes."""
    await (await stage.client()).execute_workflow(
        "ReconcileWorkflow",
        Reconcile(host_id=host_id(stage.settings)),
        id="reconcile/closing",
        task_queue=TaskQueue.WORKFLOWS,
        result_type=ReconcileReport,
        execution_timeout=dt.timedelta(seconds=60),
    )


async def _kept(handle: Handle) -> str:
    return str(await (await handle.describe()).memo_value(OC_KEPT))


def _listed(line: str) -> list[str]:
    """Run the command that a person is told and return the names of the refs that it lists."""
    ran = subprocess.run(shlex.split(line), capture_output=True, text=True, check=True)
    return [row.split("\t")[-1].split()[-1] for row in ran.stdout.splitlines()]


def _held(stage: LocalDeployment, handle: Handle) -> list[str]:
    """Return the leases and the claim that a request still has."""
    leases = [lease for lease in stage.leases() if handle.id in lease]
    claims = [
        str(path)
        for store in stage.settings.stores.iterdir()
        for path in (store / ids.CLAIMS).rglob("*")
        if path.is_file() and _claimed_by(store, path.read_text().strip()) == handle.id
    ]
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
        pytest.param(
            "close-queue", {"checks": [MARKS["queue"]]}, _runs(MARKS["queue"]), id="merge-queue"
        ),
        pytest.param("close-delivery", {"approve": ["delivery"]}, _asks, id="delivery-waits"),
    ],
)
async def test_cancelled_at_any_moment_a_request_gives_everything_back(
    stage: LocalDeployment, name: str, options: dict[str, object], moment: Moment
) -> None:
    """
    Cancelled amid anything: no lease, no claim, no process is left, the repository is the same to
    the byte, and `cancel` prints the command that lists the work.
    """
    repository = stage.repository(name, SMALL)
    before = snapshot(repository)
    handle = await stage.start_request(name, repository, **options)
    await moment(stage, handle)

    said = await stage.starter("cancel", handle.id)

    assert said.returncode == 0, said
    assert (await stage.ending(handle)).state is RunState.CANCELLED
    assert _held(stage, handle) == []
    assert snapshot(repository) == before
    await until(lambda: not any("sleep 747" in line for line in stage.processes().values()))
    kept = await _kept(handle)
    assert kept in said.stdout + said.stderr
    works = [ref for ref in _listed(kept) if "/task/a/" in ref]
    assert works or name == "close-planning"


async def test_a_request_that_is_cancelled_while_its_delivery_fails_never_delivers(
    stage: LocalDeployment,
) -> None:
    """
    Another git has the branch locked: cancelled then, the request ends at once, without a branch.
    """
    repository = stage.repository("close-delivering", SMALL)
    lock = repository / ".git/refs/heads/made.lock"
    lock.touch()
    handle = await stage.start_request("close-delivering", repository, branch="made")
    await _delivers(stage, handle)

    said = await stage.starter("cancel", handle.id)

    assert said.returncode == 0, said
    assert (await stage.ending(handle, seconds=15)).state is RunState.CANCELLED
    assert _held(stage, handle) == []
    lock.unlink()
    assert git(repository, "branch", "--list", "made") == ""


SLOW_PUSH = """#!/bin/sh
{git} "$@"; code=$?
case " $* " in *" push "*) touch {pushed}; sleep 2;; esac
exit $code
"""


async def test_a_worker_that_dies_before_it_tells_of_its_delivery_misleads_nobody(
    tmp_path: Path,
) -> None:
    """
    The push is made, the worker dies, the person cancels: the request ends delivered, as it is.
    """
    git_command, pushed = tmp_path / "git", tmp_path / "pushed"
    git_command.write_text(SLOW_PUSH.format(git=shutil.which("git"), pushed=pushed))
    git_command.chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    async with LocalDeployment(
        script(play("close-unheard", SIMPLE)), environ={"PATH": path}
    ) as stage:
        repository = stage.repository("close-unheard", SMALL)
        handle = await stage.start_request("close-unheard", repository, branch="made")
        await until(pushed.exists)
        await stage.kill_worker()
        await handle.cancel()
        await stage.start_worker()
        ended = await stage.ending(handle)

        assert ended.state is RunState.DONE
        assert ended.status
        assert ended.status.commit == git(repository, "rev-parse", "made").strip()
        assert _held(stage, handle) == []


async def test_a_terminated_request_gives_everything_back_at_the_next_reconciliation(
    stage: LocalDeployment,
) -> None:
    """
    Terminated while a person should review, which runs no clean-up: a reconciliation frees lease
    and claim, and `status` still says where the work is.
    """
    repository = stage.repository("close-terminate", SMALL)
    before = snapshot(repository)
    handle = await stage.start_request("close-terminate", repository, approve=["review"])
    await stage.waiting(handle)
    await handle.terminate("a test ends it")
    assert _held(stage, handle) != []

    await _reconciled(stage)

    assert _held(stage, handle) == []
    assert snapshot(repository) == before
    await _told_where(stage, handle)


async def test_a_request_whose_time_is_over_gives_everything_back_likewise(
    stage: LocalDeployment,
) -> None:
    """
    Ended by its execution time-out amid a command: the command ends, a reconciliation frees the
    rest, and `status` still says where the work is.
    """
    repository = stage.repository("close-timeout", SMALL)
    before = snapshot(repository)
    handle = await (await stage.client()).start_workflow(
        "RequestWorkflow",
        {"repository": str(repository), "request": "close-timeout"},
        id="request/close-timeout",
        task_queue=TaskQueue.WORKFLOWS,
        result_type=RequestStatus,
        execution_timeout=dt.timedelta(seconds=12),
    )
    await _runs(MARKS["timeout"])(stage, handle)

    async def over() -> bool:
        return (await handle.describe()).status is WorkflowExecutionStatus.TIMED_OUT

    await until(over)
    await until(lambda: not any(MARKS["timeout"] in one for one in stage.processes().values()))
    await _reconciled(stage)

    assert _held(stage, handle) == []
    assert snapshot(repository) == before
    await _told_where(stage, handle)


async def _told_where(stage: LocalDeployment, handle: Handle) -> None:
    """Check that `status` prints the command that lists the work, and that it does list it."""
    said = await stage.starter("status", handle.id)
    assert said.returncode == 0, said
    kept = await _kept(handle)
    assert kept in said.stdout + said.stderr
    assert [ref for ref in _listed(kept) if "/task/a/" in ref]
