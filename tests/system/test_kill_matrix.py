"""
A sample of the kill matrix (`make kill-matrix` is the whole): struck again and again, a request
ends whole by itself, and the checker that says so sees what it is there to see.
"""

import os
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from rehearsal import journal
from tests.kill_matrix import model_script
from tests.kill_matrix.audit import Evidence, examine
from tests.kill_matrix.following import Point
from tests.kill_matrix.plan import FaultKind, KillPoint, Mode, RunPlan
from tests.kill_matrix.runs import UNDISTURBED, Outcome, carry_out
from tests.local_deployment import LocalDeployment, git

SEED = 1
AT = (
    Point("/task/birch/coder-1", "ACTIVITY_TASK_SCHEDULED", "run_command", 1),
    Point("/task/alder", "CHILD_WORKFLOW_EXECUTION_COMPLETED", "/task/alder/coder-1", 1),
    Point("merge", "ACTIVITY_TASK_SCHEDULED", "land_chain", 1),
)


@pytest.fixture(scope="module")
async def own() -> AsyncIterator[LocalDeployment]:
    """A stage whose processes are struck."""
    async with LocalDeployment(model_script.reference()) as stage:
        yield stage


@pytest.fixture(scope="module")
async def quiet(own: LocalDeployment) -> Outcome:
    """The reference request without any blow."""
    return await carry_out(own, UNDISTURBED, expected="", seed=SEED)


async def test_a_worker_killed_at_three_events_loses_and_repeats_nothing(
    own: LocalDeployment, quiet: Outcome
) -> None:
    """
    Killed before a command, after an agent and before a landing, the request delivers its tree.
    """
    strikes = tuple(KillPoint(FaultKind.WORKER, at=point) for point in AT)
    plan = RunPlan(1, Mode.EVENT, strikes)
    struck = await carry_out(own, plan, expected=quiet.verdict.tree, seed=SEED)
    assert {blow.where for blow in struck.blows} == {str(point) for point in AT}
    assert struck.faults == []
    assert struck.verdict.repeated == 0


async def test_whatever_else_is_killed_the_request_is_whole(
    own: LocalDeployment, quiet: Outcome
) -> None:
    """A git process, a command's process, the server, and worker and server at once."""
    strikes = (
        KillPoint(FaultKind.GIT),
        KillPoint(FaultKind.TOOL),
        KillPoint(FaultKind.SERVER),
        KillPoint(FaultKind.BOTH),
    )
    plan = RunPlan(2, Mode.RANDOM, strikes)
    struck = await carry_out(own, plan, expected=quiet.verdict.tree, seed=SEED)
    assert len(struck.blows) >= 3
    assert struck.faults == []


async def test_the_checker_sees_what_was_lost_repeated_or_left(quiet: Outcome) -> None:
    """
    A journal entry removed, an object gone, a reply paid for twice, a process left: each is named.
    """
    evidence = quiet.evidence
    assert quiet.faults == []
    assert evidence is not None
    with subprocess.Popen(["sleep", "600"], env={model_script.MARK: "1"}) as left:
        try:
            faults = examine(_damaged(evidence, left.pid)).faults
        finally:
            left.kill()
    for words in (
        "no journal entry: ",
        "an object of the histories is missing: ",
        "a finished model call was made again: ",
        "another tree: ",
        "a command goes on after the end: ",
    ):
        assert any(fault.startswith(words) for fault in faults), words


def _damaged(evidence: Evidence, pid: int) -> Evidence:
    """Damage what a run left in four ways, and let a command's process live on under its owner."""
    refs = git(evidence.store, "for-each-ref", "--format=%(refname)", "refs/oc/").splitlines()
    lost = next(ref for ref in refs if "/call/" in ref)
    record = git(evidence.store, "rev-parse", f"{lost}:output")
    git(evidence.store, "update-ref", "-d", lost)
    loose = evidence.store / "objects" / record[:2] / record[2:]
    loose.unlink()
    paid = evidence.stage.journal(evidence.status.id)[3]
    with evidence.stage.journal_file.open("ab") as file:
        file.write(journal.line(paid))
    return replace(evidence, expected="0" * 40, served=(*evidence.served, os.getpid()))
