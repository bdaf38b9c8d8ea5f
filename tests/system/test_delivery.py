"""
From words to a branch: the demo's request, every kind of repository, several requests at once.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.task import TaskState
from contracts.visibility import RunState
from rehearsal import journal
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


async def test_the_demos_request_ends_with_every_task_landed_and_every_check_passed(
    performance: CompletedRun,
) -> None:
    """
    The demo's request ends DONE, its three tasks done, and each check passed on the merged tree.
    """
    status = performance.status
    assert [task.state for task in status.tasks] == [TaskState.DONE] * 3
    assert len(status.checks) == 5
    assert all(check.passed for check in status.checks)
    assert status.reason == ""
    assert "rehearsed" in status.model


async def test_the_delivered_branch_holds_the_merged_work_on_top_of_the_base(
    performance: CompletedRun, tmp_path: Path
) -> None:
    """A fresh clone of the delivered branch holds all three changes, and its own tests pass."""
    status, repository = performance.status, performance.repository
    assert git(repository, "rev-parse", str(status.branch)) == status.commit
    assert git(repository, "merge-base", "main", str(status.branch)) == status.base
    git(tmp_path, "clone", "-q", "-b", str(status.branch), str(repository), "clone")
    clone = tmp_path / "clone"
    assert "discounted" in (clone / "README.md").read_text()
    process = await asyncio.create_subprocess_exec("python3", "-m", "unittest", "-q", cwd=clone)
    assert await process.wait() == 0


def test_the_users_repository_is_byte_identical_except_for_the_branch_and_its_objects(
    performance: CompletedRun,
) -> None:
    """Checkout, index, config, hooks and other refs are the same to the byte, and no hook ran."""
    branch = str(performance.status.branch)
    assert disturbed(performance.before, performance.after, branch=branch) == set()
    assert f".git/refs/heads/{branch}" in performance.after.keys() - performance.before.keys()


def test_the_rehearsed_script_of_the_demo_foresaw_every_request(
    stage: LocalDeployment, performance: CompletedRun
) -> None:
    """No request to the model was unforeseen, and no finished one was repeated."""
    entries = stage.journal(performance.status.id)
    assert journal.failures(entries) == []
    assert journal.repeated(entries) == []


def test_nothing_is_left_once_a_request_has_ended(
    stage: LocalDeployment, performance: CompletedRun
) -> None:
    """No worktree is leased and no lock is held once the request has ended."""
    assert performance.status.state is RunState.DONE
    assert stage.left_behind() == []


def _dirty(stage: LocalDeployment) -> Path:
    folder = stage.repository("dirty", {**SMALL, "staged.txt": "a\n"})
    (folder / "README.md").write_text("changed\n")
    (folder / "staged.txt").write_text("staged\n")
    git(folder, "add", "staged.txt")
    (folder / "new.txt").write_text("untracked, of the same name as the agent's file\n")
    return folder


def _detached(stage: LocalDeployment) -> Path:
    folder = stage.repository("detached", SMALL)
    (folder / "second.txt").write_text("2\n")
    commit(folder, "The second")
    git(folder, "checkout", "-q", "--detach", "HEAD~1")
    return folder


def _unusual_path(stage: LocalDeployment) -> Path:
    return stage.repository("sp ace/ünï ✓ 'quoted' $HOME", SMALL)


def _bare(stage: LocalDeployment) -> Path:
    git(stage.folder, "clone", "-q", "--bare", str(stage.repository("origin", SMALL)), "bare.git")
    return stage.folder / "bare.git"


@pytest.mark.parametrize(
    ("make", "name"),
    [(_dirty, "dirty"), (_detached, "detached"), (_unusual_path, "unusual"), (_bare, "bare")],
    ids=["dirty", "detached", "unusual", "bare"],
)
async def test_every_kind_of_repository_gets_its_branch_and_nothing_else(
    stage: LocalDeployment, make: Callable[[LocalDeployment], Path], name: str
) -> None:
    """
    A dirty checkout, a detached head, an unusual path and a bare repository all get their branch.
    """
    folder = make(stage)
    before, head = snapshot(folder), git(folder, "rev-parse", "HEAD")
    handle = await stage.start_request(f"kind-{name}", folder)
    status = await stage.delivered(handle)
    assert status.base == head
    assert git(folder, "show", f"{status.branch}:new.txt") == "new"
    assert disturbed(before, snapshot(folder), branch=str(status.branch)) == set()


async def test_two_requests_on_one_repository_at_once_are_both_delivered(
    stage: LocalDeployment,
) -> None:
    """Two requests at once get a branch each, from the same base."""
    folder = stage.repository("twins", SMALL)
    handles = [await stage.start_request(f"twin-{n}", folder) for n in (1, 2)]
    ended = await asyncio.gather(*(stage.delivered(handle) for handle in handles))
    assert len({status.branch for status in ended}) == 2
    for status in ended:
        assert git(folder, "diff", "--name-only", f"main..{status.branch}").split() == [
            "one.txt",
            "two.txt",
        ]


async def test_of_two_requests_for_one_branch_the_second_is_refused_in_one_sentence(
    stage: LocalDeployment,
) -> None:
    """The request that comes second names the first and the remedy; the first is delivered."""
    folder = stage.repository("rivals", SMALL)
    handles = [await stage.start_request(f"rival-{n}", folder, branch="feature/x") for n in (1, 2)]
    endings = await asyncio.gather(*(stage.ending(handle) for handle in handles))
    assert sorted(each.state for each in endings) == [RunState.DONE, RunState.FAILED], endings
    lost = next(ending for ending in endings if ending.state is RunState.FAILED)
    won = next(ending for ending in endings if ending.state is RunState.DONE)
    assert lost.refused
    assert won.status is not None
    assert lost.reason == (
        f"the branch 'feature/x' is being made by {won.status.id}: name another with --branch"
    )


async def test_a_request_that_changes_nothing_is_done_without_a_branch(
    stage: LocalDeployment,
) -> None:
    """A plan that only reads ends DONE, delivers no branch and leaves the repository as it was."""
    folder = stage.repository("nothing", SMALL)
    before = snapshot(folder)
    status = await stage.delivered(await stage.start_request("nothing", folder))
    assert status.commit is None
    assert snapshot(folder) == before
