"""`hand-off` and `resume`: a person works on a task's files, and gives them back to its agent."""

import json
from pathlib import Path

import pytest

from contracts.request import RequestStatus
from contracts.task import TaskState
from contracts.visibility import RunState
from tests import journal_checks
from tests.local_deployment import Handle, LocalDeployment, git, until
from tests.model_scripts import PASSES, Json, Task, create, done, play, turn

pytestmark = pytest.mark.minutes

SMALL = {"README.md": "A small thing.\n", ".gitignore": "*.log\n"}
SLOW = 60_000
"""Milliseconds that a model thinks where its task is taken over meanwhile."""
FIRST = turn(create("a.txt", "a\n"))
_TOLD = [
    "took this task over after your turn 1",
    "Changed by them: README.md, mine.txt.",
    "The person says: I did mine",
]


def _taken(name: str, agent: str) -> list[Json]:
    back = {
        "match": {"role": "coder", "request": f"request/{name}*", "task": "work", "agent": agent},
        "turns": [
            FIRST,
            turn(create("good.txt", "good\n"), expect={"last_user_contains": _TOLD}),
            done(),
        ],
    }
    work = Task(
        id="work",
        writes=("a.txt", "good.txt", "mine.txt", "README.md"),
        acceptance=("test -e a.txt && test -e good.txt && test -e mine.txt",),
        coder=(FIRST, turn(create("bad.txt", "bad\n"), delay_ms=SLOW)),
    )
    other = Task(
        id="other",
        writes=("other.txt",),
        acceptance=("test -e other.txt",),
        coder=(turn(create("other.txt", "o\n")), done()),
    )
    return [back, *play(name, work, other)]


def _alone(name: str) -> list[Json]:
    """Return the play of an agent that goes on without what the person made."""
    on = {
        "match": {"role": "coder", "request": f"request/{name}*", "task": "work"},
        "turns": [FIRST, turn(create("good.txt", "good\n"), delay_ms=8_000), done()],
    }
    work = Task(id="work", writes=("a.txt", "good.txt"), acceptance=("test -e good.txt",), coder=())
    return [on, *play(name, work)]


PLAYS = [
    _taken("taken-running", "*/rollback-*"),
    _taken("taken-cancelled", "*/retry-2/*"),
    _alone("taken-not"),
    play(
        "taken-done",
        Task(id="work", writes=("a.txt",), acceptance=(PASSES,), coder=(FIRST, done())),
    ),
]


async def _status(deployment: LocalDeployment, handle: Handle) -> RequestStatus:
    ending = await deployment.ending(handle)
    assert ending.status is not None
    return ending.status


async def _begun(deployment: LocalDeployment, name: str) -> None:
    """Wait until the agent's first turn has been carried out."""

    async def there() -> bool:
        listed = await deployment.starter("turns", name, "work", "--json")
        rows = json.loads(listed.stdout) if listed.returncode == 0 else []
        return any(row["checkpoint"] for row in rows)

    await until(lambda: deployment.has_file("a.txt"))
    await until(there)


async def _handed(deployment: LocalDeployment, name: str) -> Path:
    out = await deployment.starter("hand-off", name, "work")
    print(out.stderr, out.stdout)
    assert out.returncode == 0, out
    folder = deployment.settings.home / "handed" / name / "work"
    assert f"cd {folder}" in out.stdout
    return folder


def _work_in(folder: Path) -> None:
    """Change one file, make one and one that git ignores; a part is committed by hand."""
    assert sorted(each.name for each in folder.iterdir() if each.name != ".git") == [
        ".gitignore",
        "README.md",
        "a.txt",
    ]
    (folder / "mine.txt").write_text("mine\n")
    git(folder, "add", "mine.txt")
    git(folder, "commit", "-q", "-m", "mine")
    (folder / "README.md").write_text("A small thing, by a person.\n")
    (folder / "noise.log").write_text("x\n")


async def _is_delivered(deployment: LocalDeployment, handle: Handle, folder: Path) -> None:
    status = await _status(deployment, handle)
    assert (status.state, status.reason) == (RunState.DONE, "")
    changed = git(folder, "diff", "--name-only", "main..out").split()
    assert changed == ["README.md", "a.txt", "good.txt", "mine.txt", "other.txt"]
    assert git(folder, "show", "out:README.md") == "A small thing, by a person."
    entries = deployment.journal(handle.id)
    assert [entry.failure for entry in entries if entry.unanswered or entry.unexpected] == []
    assert journal_checks.repeated(entries, same_bytes=False) == []
    assert deployment.left_behind() == []


async def test_a_running_task_is_taken_over_and_given_back(deployment: LocalDeployment) -> None:
    """Its agent stops and the others go on; what the person made, committed or not, becomes the
    task's state, its agent is told and finishes it, and no call is bought twice.
    """
    name = "taken-running"
    repository = deployment.repository(name, SMALL)
    handle = await deployment.start_request(name, repository, branch="out")
    await _begun(deployment, name)
    folder = await _handed(deployment, name)
    status = await deployment.waiting(handle)
    assert [approval.id for approval in status.approvals] == ["hand-off/work"]
    _work_in(folder)
    assert await _handed(deployment, name) == folder, "asked again, the folder stays as it is"
    assert (folder / "README.md").read_text() == "A small thing, by a person.\n"
    other = await deployment.starter("hand-off", name, "work", "--to", str(repository))
    assert (other.returncode, "is another repository" in other.stderr) == (2, True), other
    await deployment.kill_worker()
    await deployment.start_worker()

    async def other_done() -> bool:
        rows = {row.id: row.state for row in (await deployment.status(handle)).tasks}
        return rows == {"work": TaskState.RUNNING, "other": TaskState.DONE}

    await until(other_done)
    before = git(repository, "rev-parse", "HEAD")
    own = await deployment.starter("resume", name, "work", "--from", str(repository))
    assert (own.returncode, "no folder that `hand-off` has made" in own.stderr) == (2, True), own
    assert git(repository, "rev-parse", "HEAD") == before, "nothing is committed elsewhere"
    back = await deployment.starter("resume", name, "work", "I did mine")
    print(back.stderr, back.stdout)
    assert back.returncode == 0, back
    assert "given back by a person, who took it over after turn 1" in back.stderr
    await _is_delivered(deployment, handle, repository)


async def test_a_task_of_a_cancelled_request_is_taken_over(deployment: LocalDeployment) -> None:
    """The folder holds its last state; giving it back lets the request go on."""
    name = "taken-cancelled"
    repository = deployment.repository(name, SMALL)
    handle = await deployment.start_request(name, repository, branch="out")
    await _begun(deployment, name)
    await handle.cancel()
    assert (await deployment.ending(handle)).state is RunState.CANCELLED
    _work_in(await _handed(deployment, name))
    back = await deployment.starter("resume", name, "work", "I did mine")
    assert back.returncode == 0, back
    await _is_delivered(deployment, handle, repository)


async def test_what_is_done_is_not_handed_off(deployment: LocalDeployment) -> None:
    """Neither a task that has landed nor one that the request does not have."""
    name = "taken-done"
    repository = deployment.repository(name, SMALL)
    handle = await deployment.start_request(name, repository, branch="out")
    assert (await deployment.ending(handle)).state is RunState.DONE
    for task, why in (("work", "everything that was asked"), ("nope", "no task")):
        refused = await deployment.starter("hand-off", name, task)
        assert (refused.returncode, why in refused.stderr) == (2, True), refused
    assert not (deployment.settings.home / "handed" / name).exists()


async def test_an_agent_goes_on_without_the_person(deployment: LocalDeployment) -> None:
    """Approving the question lets it go on from where it was; what the person made stays theirs."""
    name = "taken-not"
    repository = deployment.repository(name, SMALL)
    handle = await deployment.start_request(name, repository, branch="out")
    await _begun(deployment, name)
    folder = await _handed(deployment, name)
    (folder / "mine.txt").write_text("mine\n")
    approved = await deployment.starter("approve", name, "hand-off/work")
    assert approved.returncode == 0, approved
    status = await _status(deployment, handle)
    assert (status.state, status.reason) == (RunState.DONE, "")
    changed = git(repository, "diff", "--name-only", "main..out").split()
    assert changed == ["a.txt", "good.txt"]
    assert (folder / "mine.txt").read_text() == "mine\n"
    assert journal_checks.repeated(deployment.journal(handle.id), same_bytes=False) == []
