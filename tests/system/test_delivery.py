"""From request to branch: the demo, every kind of repository, several requests at once."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.task import TaskState
from contracts.visibility import RunState
from rehearsal import journal
from tests import journal_checks
from tests.local_deployment import LocalDeployment, commit, disturbed, git, snapshot
from tests.model_scripts import Task, command, demo, done, play, turn, writes_file
from tests.system.conftest import CompletedRun

SMALL = {"README.md": "A small thing.\n"}
PLAYS = [
    demo("demo-whole"),
    play("kind", writes_file("only", "new.txt", "new\n")),
    play(
        "twin",
        writes_file("one", "one.txt", "1\n"),
        writes_file("two", "two.txt", "2\n", depends_on=("one",)),
    ),
    play("rival", writes_file("only", "rival.txt", "x\n", delay_ms=400)),
    play(
        "nothing",
        Task(id="looks", coder=(turn(command("cat README.md")), done("All is well."))),
    ),
]


async def test_the_demo_lands_every_task_and_passes_every_check(
    completed_run: CompletedRun,
) -> None:
    """The demo's request ends DONE, with three tasks done and every check passed on the merge."""
    status = completed_run.status
    assert [task.state for task in status.tasks] == [TaskState.DONE] * 3
    assert len(status.checks) == 5
    assert all(check.passed for check in status.checks)
    assert status.reason == ""
    assert "rehearsed" in status.model


async def test_the_delivered_branch_holds_the_merged_work_on_top_of_the_base(
    completed_run: CompletedRun, tmp_path: Path
) -> None:
    """A fresh clone of the delivered branch holds all three changes, and its own tests pass."""
    status, repository = completed_run.status, completed_run.repository
    assert git(repository, "rev-parse", str(status.branch)) == status.commit
    assert git(repository, "merge-base", "main", str(status.branch)) == status.base
    git(tmp_path, "clone", "-q", "-b", str(status.branch), str(repository), "clone")
    clone = tmp_path / "clone"
    assert "discounted" in (clone / "README.md").read_text()
    process = await asyncio.create_subprocess_exec("python3", "-m", "unittest", "-q", cwd=clone)
    assert await process.wait() == 0


def test_the_users_repository_is_byte_identical_except_for_the_branch_and_its_objects(
    completed_run: CompletedRun,
) -> None:
    """Checkout, index, config, hooks and other refs are the same to the byte, and no hook ran."""
    branch = str(completed_run.status.branch)
    assert disturbed(completed_run.before, completed_run.after, branch=branch) == set()
    assert f".git/refs/heads/{branch}" in completed_run.after.keys() - completed_run.before.keys()


def test_the_demos_script_answers_every_model_call(
    deployment: LocalDeployment, completed_run: CompletedRun
) -> None:
    """No request to the model was unforeseen, and no finished one was repeated."""
    entries = deployment.journal(completed_run.status.id)
    assert journal.failures(entries) == []
    assert journal_checks.repeated(entries) == []


def test_nothing_is_left_once_a_request_has_ended(
    deployment: LocalDeployment, completed_run: CompletedRun
) -> None:
    """No worktree is leased and no lock is held once the request has ended."""
    assert completed_run.status.state is RunState.DONE
    assert deployment.left_behind() == []


def _dirty(deployment: LocalDeployment) -> Path:
    folder = deployment.repository("dirty", {**SMALL, "staged.txt": "a\n"})
    (folder / "README.md").write_text("changed\n")
    (folder / "staged.txt").write_text("staged\n")
    git(folder, "add", "staged.txt")
    (folder / "new.txt").write_text("untracked, of the same name as the agent's file\n")
    return folder


def _detached(deployment: LocalDeployment) -> Path:
    folder = deployment.repository("detached", SMALL)
    (folder / "second.txt").write_text("2\n")
    commit(folder, "The second")
    git(folder, "checkout", "-q", "--detach", "HEAD~1")
    return folder


def _unusual_path(deployment: LocalDeployment) -> Path:
    return deployment.repository("sp ace/ünï ✓ 'quoted' $HOME", SMALL)


def _bare(deployment: LocalDeployment) -> Path:
    git(
        deployment.folder,
        "clone",
        "-q",
        "--bare",
        str(deployment.repository("origin", SMALL)),
        "bare.git",
    )
    return deployment.folder / "bare.git"


@pytest.mark.parametrize(
    ("make", "name"),
    [(_dirty, "dirty"), (_detached, "detached"), (_unusual_path, "unusual"), (_bare, "bare")],
    ids=["dirty", "detached", "unusual", "bare"],
)
async def test_a_repository_of_any_kind_gets_its_branch_and_nothing_else(
    deployment: LocalDeployment, make: Callable[[LocalDeployment], Path], name: str
) -> None:
    """A dirty checkout, a detached head, an unusual path and a bare repository get a branch."""
    folder = make(deployment)
    before, head = snapshot(folder), git(folder, "rev-parse", "HEAD")
    handle = await deployment.start_request(f"kind-{name}", folder)
    status = await deployment.delivered(handle)
    assert status.base == head
    assert git(folder, "show", f"{status.branch}:new.txt") == "new"
    assert disturbed(before, snapshot(folder), branch=str(status.branch)) == set()


async def test_two_requests_on_one_repository_at_once_are_both_delivered(
    deployment: LocalDeployment,
) -> None:
    """Two requests at once get a branch each, from the same base."""
    folder = deployment.repository("twins", SMALL)
    handles = [await deployment.start_request(f"twin-{n}", folder) for n in (1, 2)]
    ended = await asyncio.gather(*(deployment.delivered(handle) for handle in handles))
    assert len({status.branch for status in ended}) == 2
    for status in ended:
        assert git(folder, "diff", "--name-only", f"main..{status.branch}").split() == [
            "one.txt",
            "two.txt",
        ]


async def test_of_two_requests_for_one_branch_the_second_is_refused_in_one_sentence(
    deployment: LocalDeployment,
) -> None:
    """The request that comes second names the first and the remedy; the first is delivered."""
    folder = deployment.repository("rivals", SMALL)
    handles = [
        await deployment.start_request(f"rival-{n}", folder, branch="feature/x") for n in (1, 2)
    ]
    endings = await asyncio.gather(*(deployment.ending(handle) for handle in handles))
    assert sorted(each.state for each in endings) == [RunState.DONE, RunState.FAILED], endings
    lost = next(ending for ending in endings if ending.state is RunState.FAILED)
    won = next(ending for ending in endings if ending.state is RunState.DONE)
    assert lost.refused
    assert won.status is not None
    assert lost.reason == (
        f"the branch 'feature/x' is being made by {won.status.id}: name another with --branch"
    )


async def test_a_request_that_changes_nothing_is_done_without_a_branch(
    deployment: LocalDeployment,
) -> None:
    """A plan that only reads ends DONE, delivers no branch and leaves the repository as it was."""
    folder = deployment.repository("nothing", SMALL)
    before = snapshot(folder)
    status = await deployment.delivered(await deployment.start_request("nothing", folder))
    assert status.commit is None
    assert snapshot(folder) == before
