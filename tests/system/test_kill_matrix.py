"""A sample of the kill matrix (`make kill-matrix` is the whole): a request whose processes are
killed again and again passes the audit, and the audit finds planted damage.
"""

import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from rehearsal import journal
from tests.kill_matrix import model_script
from tests.kill_matrix.audit import Evidence, examine
from tests.kill_matrix.history_follower import HistoryPoint
from tests.kill_matrix.plan import FaultKind, KillPoint, Mode, RunPlan
from tests.kill_matrix.retry_runs import execute_with_retries
from tests.kill_matrix.runs import UNDISTURBED, UNDISTURBED_GOAL, RunResult, execute
from tests.local_deployment import LocalDeployment, git

SEED = 1
AT = (
    HistoryPoint("/task/birch/coder-1", "ACTIVITY_TASK_SCHEDULED", "run_command", 1),
    HistoryPoint("/task/alder", "CHILD_WORKFLOW_EXECUTION_COMPLETED", "/task/alder/coder-1", 1),
    HistoryPoint("merge", "ACTIVITY_TASK_SCHEDULED", "land_chain", 1),
)


@pytest.fixture(scope="module")
async def own() -> AsyncIterator[LocalDeployment]:
    """A deployment whose processes are killed."""
    async with LocalDeployment(model_script.reference()) as deployment:
        yield deployment


@pytest.fixture(scope="module")
async def quiet(own: LocalDeployment) -> RunResult:
    """The reference request without any kill."""
    return await execute(own, UNDISTURBED, expected="", seed=SEED)


async def test_a_worker_killed_at_three_events_loses_and_repeats_nothing(
    own: LocalDeployment, quiet: RunResult
) -> None:
    """Killed before a command, after an agent and before a landing, it delivers the same tree."""
    kill_points = tuple(KillPoint(FaultKind.WORKER, at=point) for point in AT)
    plan = RunPlan(1, Mode.EVENT, kill_points)
    killed = await execute(own, plan, expected=quiet.audit.tree, seed=SEED)
    assert {kill.where for kill in killed.kills} == {str(point) for point in AT}
    assert killed.problems == []
    assert killed.audit.repeated == 0


@pytest.mark.minutes
async def test_a_request_survives_the_death_of_any_other_process(
    own: LocalDeployment, quiet: RunResult
) -> None:
    """A git process, a command's process, the server, and worker and server at once."""
    kill_points = (
        KillPoint(FaultKind.GIT),
        KillPoint(FaultKind.TOOL),
        KillPoint(FaultKind.SERVER),
        KillPoint(FaultKind.BOTH),
    )
    plan = RunPlan(2, Mode.RANDOM, kill_points)
    killed = await execute(own, plan, expected=quiet.audit.tree, seed=SEED)
    assert len(killed.kills) >= 3
    assert killed.problems == []


@pytest.mark.minutes
async def test_a_request_that_fails_or_is_cancelled_and_is_retried_ends_the_same(
    own: LocalDeployment, quiet: RunResult
) -> None:
    """A task fails, a person cancels, the worker dies; after each `retry` nothing is bought twice,
    and the tree that is delivered is the same.
    """
    kill_points = (
        KillPoint(FaultKind.FAIL),
        KillPoint(FaultKind.CANCEL, after=2.0),
        KillPoint(FaultKind.WORKER, after=1.0),
    )
    plan = RunPlan(3, Mode.RETRY, kill_points)
    retried = await execute_with_retries(own, plan, expected=quiet.audit.tree, seed=SEED)
    assert retried.problems == []
    assert FaultKind.FAIL in {kill.fault for kill in retried.kills}
    assert retried.audit.repeated == 0


@pytest.mark.minutes
async def test_a_request_with_a_goal_survives_the_death_of_its_worker_in_each_round(
    own: LocalDeployment,
) -> None:
    """Worker, or worker and server, die again and again; the same rounds come to the same tree."""
    quiet = await execute(own, replace(UNDISTURBED_GOAL, number=4), expected="", seed=SEED)
    faults = (FaultKind.WORKER, FaultKind.WORKER, FaultKind.BOTH, FaultKind.WORKER)
    plan = RunPlan(5, Mode.GOAL, tuple(KillPoint(fault, after=1.0) for fault in faults))
    killed = await execute(own, plan, expected=quiet.audit.tree, seed=SEED)
    for result in (quiet, killed):
        assert result.problems == []
        assert result.evidence is not None
        assert result.evidence.status.goal is not None
        assert [each.failing for each in result.evidence.status.goal.rounds] == [2, 1, 0]
    assert len(killed.kills) == len(faults)


@pytest.mark.minutes
@pytest.mark.needs_root
async def test_a_worker_killed_at_events_of_tasks_in_the_cloud_lane_leaves_nothing(
    own: LocalDeployment, quiet: RunResult
) -> None:
    """The same tree as in worktrees, nothing repeated, and no clone is left behind."""
    kill_points = tuple(KillPoint(FaultKind.WORKER, at=point) for point in AT)
    plan = RunPlan(6, Mode.CLOUD, kill_points)
    killed = await execute(own, plan, expected=quiet.audit.tree, seed=SEED)
    assert killed.evidence is not None
    assert {task.lane.partition(":")[0] for task in killed.evidence.status.tasks} == {"cloud"}
    assert len(killed.kills) == len(AT)
    assert killed.problems == []
    assert killed.audit.repeated == 0


async def test_the_audit_finds_what_was_lost_repeated_or_left(quiet: RunResult) -> None:
    """A lost journal entry or object, a reply paid twice, a process left: the audit names each."""
    evidence = quiet.evidence
    assert quiet.problems == []
    assert evidence is not None
    with subprocess.Popen(["sleep", "600"], env={model_script.MARK: "1"}) as left:
        try:
            problems = examine(_damaged(evidence, left.pid)).problems
        finally:
            left.kill()
    for words in (
        "no journal entry: ",
        "an object of the histories is missing: ",
        "a finished model call was made again: ",
        "another tree: ",
        "a command goes on after the end: ",
    ):
        assert any(fault.startswith(words) for fault in problems), words


def _damaged(evidence: Evidence, pid: int) -> Evidence:
    """Damage what a run left in four ways, and let a command's process live on under its owner."""
    refs = git(evidence.store, "for-each-ref", "--format=%(refname)", "refs/oc/").splitlines()
    lost = next(ref for ref in refs if "/call/" in ref)
    record = git(evidence.store, "rev-parse", f"{lost}:output")
    git(evidence.store, "update-ref", "-d", lost)
    loose = evidence.store / "objects" / record[:2] / record[2:]
    loose.unlink()
    paid = evidence.deployment.journal(evidence.status.id)[3]
    with evidence.deployment.journal_file.open("ab") as file:
        file.write(journal.line(paid))
    return replace(evidence, expected="0" * 40, served=(*evidence.served, os.getpid()))
