"""`turns`, `rollback`, `fork`: a task goes on from one of its turns, or a second one does."""

import json
from pathlib import Path

import pytest

from contracts.request import RequestStatus
from contracts.task import TaskState
from contracts.visibility import RunState
from domain import ids
from tests import journal_checks
from tests.local_deployment import Handle, LocalDeployment, git, until
from tests.model_scripts import Json, Task, approves, create, done, play, turn, view

pytestmark = pytest.mark.minutes

SMALL = {"README.md": "A small thing.\n"}
SLOW = 60_000
"""Milliseconds that a model thinks where its task is taken back meanwhile."""
FIRST = turn(create("a.txt", "a\n"), view("README.md"))
ACCEPTANCE = ("test -e a.txt && test -e good.txt && test ! -e bad.txt",)


def _work(name: str = "work", *rest: Json) -> Task:
    return Task(
        id=name,
        writes=("a.txt", "good.txt", "bad.txt", "c.txt"),
        acceptance=ACCEPTANCE,
        coder=(FIRST, turn(create("bad.txt", "bad\n")), *rest),
    )


def _slow() -> Json:
    return turn(create("c.txt", "c\n"), delay_ms=SLOW)


def _back(request: str, agent: str, *turns: Json, task: str = "work") -> Json:
    """Return the cast of an agent that goes on from the first turn of another one."""
    match = {"role": "coder", "request": f"request/{request}*", "task": task, "agent": agent}
    return {"match": match, "turns": [FIRST, *turns]}


def _good(*words: str) -> tuple[Json, Json]:
    """Return what an agent does once it is back, told so and with all answers of its turn."""
    told = ["rolled this task back to the state after your turn 1", *words]
    answered = [{"is_error": False}, {"is_error": False, "contains": ["A small thing."]}]
    expect = {"last_user_contains": told, "results": answered}
    return turn(create("good.txt", "good\n"), expect=expect), done()


PLAYS = [
    [
        _back("back-running", "*/rollback-1-1-*", *_good("no bad file")),
        *play("back-running", _work("work", _slow())),
    ],
    [
        _back("back-cancelled", "*/retry-2/*", *_good()),
        *play("back-cancelled", _work("work", _slow())),
    ],
    [
        _back("back-failed", "*/retry-2/*", *_good()),
        *play("back-failed", _work("work", *[done("It is fine.")] * 6)),
    ],
    [
        _back(
            "back-forked",
            "*/task/work-fork/*",
            turn(
                create("good.txt", "better\n"),
                expect={"last_user_contains": ["wants this task done differently", "be better"]},
            ),
            done(),
            task="work-fork",
        ),
        {
            "match": {"role": "reviewer", "request": "request/back-forked*", "task": "work-fork"},
            "turns": [approves()],
        },
        *play(
            "back-forked",
            Task(
                id="work",
                writes=("a.txt", "good.txt"),
                acceptance=ACCEPTANCE,
                coder=(FIRST, turn(create("good.txt", "good\n"), delay_ms=8_000), done()),
            ),
            Task(
                id="after",
                writes=("after.txt",),
                depends_on=("work",),
                acceptance=("grep -q better good.txt",),
                coder=(turn(create("after.txt", "x\n")), done()),
            ),
        ),
    ],
    [
        _back("back-damaged", "*/rollback-2-1-sound/*", turn(create("good.txt", "good\n")), done()),
        *play("back-damaged", _work("work", turn(create("c.txt", "c\n"), delay_ms=8_000))),
    ],
]


async def _bad_is_there(deployment: LocalDeployment, name: str) -> None:
    """Wait until the second turn of a task has been carried out."""

    async def there() -> bool:
        listed = await deployment.starter("turns", name, "work", "--json")
        return listed.returncode == 0 and len(json.loads(listed.stdout)) >= 2

    await until(lambda: deployment.has_file("bad.txt"))
    await until(there)


def _files(folder: Path, branch: str) -> list[str]:
    return git(folder, "diff", "--name-only", f"main..{branch}").split()


def _store(deployment: LocalDeployment, name: str) -> Path:
    return next(deployment.settings.stores.glob(f"{name}-*.git"))


async def _status(deployment: LocalDeployment, handle: Handle) -> RequestStatus:
    ending = await deployment.ending(handle)
    assert ending.status is not None
    return ending.status


async def _is_back(deployment: LocalDeployment, handle: Handle, folder: Path) -> None:
    """Files, conversation and figures of a request whose task went back and then on."""
    name = handle.id.removeprefix(ids.REQUEST_PREFIX)
    status = await _status(deployment, handle)
    assert (status.state, status.reason) == (RunState.DONE, "")
    assert _files(folder, "out") == ["a.txt", "good.txt"]
    entries = deployment.journal(handle.id)
    assert [entry.failure for entry in entries if entry.unanswered or entry.unexpected] == []
    assert journal_checks.repeated(entries, same_bytes=False) == []
    finished = journal_checks.cost_usd([entry for entry in entries if entry.finished])
    assert status.cost_usd >= round(finished, 6)
    rows = json.loads((await deployment.starter("turns", name, "work", "--json")).stdout)
    mine = [row["undone"] for row in rows if row["role"] == "coder"]
    assert (mine[:2], mine[-2:]) == ([False, True], [False, False])
    # What came after it is kept.
    undone = next(row for row in rows if row["undone"])
    store = _store(deployment, name)
    assert git(store, "show", f"{undone['checkpoint']}:bad.txt") == "bad"
    log = (await deployment.starter("log", name, "work")).stdout
    assert "work coder turn 2, undone" in log
    assert "== work coder goes on from turn 1 (rollback)" in log
    assert deployment.left_behind() == []


async def test_a_running_task_goes_back_to_a_turn_and_on_from_there(
    deployment: LocalDeployment,
) -> None:
    """What it does is ended; its agent has files and conversation of that turn, the answers to its
    calls, and the person's words; the rest is kept and marked, and no call is bought twice.
    """
    folder = deployment.repository("back-running", SMALL)
    handle = await deployment.start_request("back-running", folder, branch="out")
    await _bad_is_there(deployment, "back-running")
    listed = (await deployment.starter("turns", "back-running", "work")).stdout
    assert "edit a.txt; view README.md" in listed
    shown = (await deployment.starter("turns", "back-running", "work", "2")).stdout
    assert "+bad" in shown
    assert "edit bad.txt" in shown
    none = await deployment.starter("rollback", "back-running", "work", "7")
    assert (none.returncode, "there is no turn 7" in none.stderr) == (2, True), none
    poor = await deployment.starter("fork", "back-running", "work", "1", "otherwise")
    assert (poor.returncode, "raise the budget, then fork" in poor.stderr) == (2, True), poor
    back = await deployment.starter("rollback", "back-running", "work", "1", "no bad file")
    print(back.stderr, back.stdout)
    assert back.returncode == 0, back
    assert "work rolled back to the state after turn 1" in back.stderr
    await _is_back(deployment, handle, folder)


@pytest.mark.parametrize("name", ["back-cancelled", "back-failed"])
async def test_a_task_of_a_request_that_has_ended_goes_back(
    deployment: LocalDeployment, name: str
) -> None:
    """Cancelled while it was at work, or failed for good: the request goes on with that turn."""
    folder = deployment.repository(name, SMALL)
    handle = await deployment.start_request(name, folder, branch="out")
    if name == "back-cancelled":
        await _bad_is_there(deployment, name)
        await handle.cancel()
    assert (await deployment.ending(handle)).state is not RunState.DONE
    back = await deployment.starter("rollback", name, "work", "1")
    print(back.stderr, back.stdout)
    assert back.returncode == 0, back
    await _is_back(deployment, handle, folder)


async def test_of_a_task_and_its_fork_one_lands(deployment: LocalDeployment) -> None:
    """The fork is a task of its own from that turn; both results can be compared; the one that the
    person approves lands, the other is not taken, and what depends on the task goes on from it.
    """
    name = "back-forked"
    folder = deployment.repository(name, SMALL)
    handle = await deployment.start_request(name, folder, branch="out")
    await until(lambda: deployment.has_file("a.txt"))

    async def first_turn() -> bool:
        listed = await deployment.starter("turns", name, "work", "--json")
        return listed.returncode == 0 and len(json.loads(listed.stdout)) >= 1

    await until(first_turn)
    forked = await deployment.starter("fork", name, "work", "1", "be better", "--detach")
    print(forked.stderr)
    assert forked.returncode == 3, forked
    assert "work-fork forked after turn 1" in forked.stderr
    status = await deployment.waiting(handle, count=2)
    assert {row.id: row.state for row in status.tasks} == {
        "work": TaskState.REVIEW,
        "work-fork": TaskState.REVIEW,
        "after": TaskState.PENDING,
    }
    between = (await deployment.starter("diff", name, "work", "work-fork")).stdout
    assert "-good\n" in between
    assert "+better\n" in between
    fork = next(each for each in status.approvals if "work-fork" in each.id)
    approved = await deployment.starter("approve", name, fork.id)
    assert approved.returncode == 0, approved
    last = await _status(deployment, handle)
    assert last.state is RunState.DONE
    rows = {row.id: row for row in last.tasks}
    assert (rows["work"].state, rows["work"].reason) == (
        TaskState.CANCELLED,
        "'work-fork' is done in its place",
    )
    assert rows["work-fork"].commit
    assert git(folder, "show", "out:good.txt") == "better"
    assert _files(folder, "out") == ["a.txt", "after.txt", "good.txt"]
    entries = deployment.journal(handle.id)
    assert [entry.failure for entry in entries if entry.unanswered or entry.unexpected] == []
    assert journal_checks.repeated(entries, same_bytes=False) == []
    assert deployment.left_behind() == []


async def test_a_damaged_checkpoint_is_found_and_the_last_sound_one_taken(
    deployment: LocalDeployment,
) -> None:
    """A file of the last checkpoint is gone from the store when the task needs it: it goes on from
    the turn before, and status, log and the worker's log say why.
    """
    name = "back-damaged"
    folder = deployment.repository(name, SMALL)
    handle = await deployment.start_request(name, folder, branch="out")
    await _bad_is_there(deployment, name)
    await handle.cancel()
    await deployment.ending(handle)
    turns = json.loads((await deployment.starter("turns", name, "work", "--json")).stdout)
    store = _store(deployment, name)
    blob = git(store, "rev-parse", f"{turns[1]['checkpoint']}:bad.txt")
    (store / "objects" / blob[:2] / blob[2:]).unlink()
    marked = (await deployment.starter("turns", name, "work")).stdout
    assert "CHECKPOINT_CORRUPTION" in marked
    again = await deployment.starter("retry", name)
    print(again.stderr, again.stdout)
    assert again.returncode == 0, again
    status = await _status(deployment, handle)
    (row,) = status.tasks
    assert row.earlier is not None
    assert (
        "goes on after turn 1; CHECKPOINT_CORRUPTION: the files after turn 2" in row.earlier.reason
    )
    assert _files(folder, "out") == ["a.txt", "good.txt"]
    log = (await deployment.starter("log", name, "work")).stdout
    assert "== work coder goes on from turn 1 (repair)" in log
    assert "CHECKPOINT_CORRUPTION: the files after turn 2 are damaged" in log
    written = (deployment.settings.logs / "worker.log").read_text()
    lines = [json.loads(line) for line in written.splitlines() if "checkpoint.corrupt" in line]
    assert {line["error_class"] for line in lines} == {"CHECKPOINT_CORRUPTION"}
    assert journal_checks.repeated(deployment.journal(handle.id), same_bytes=False) == []
    assert deployment.left_behind() == []
