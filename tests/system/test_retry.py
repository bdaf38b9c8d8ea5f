"""`retry`: a request that has failed or was cancelled goes on; nothing finished is bought again."""

import json
import shlex
import time
from subprocess import CompletedProcess
from typing import Any

import pytest

from cli.client import RequestClient
from contracts.request import RequestStatus
from contracts.task import TaskState
from contracts.visibility import RunState
from tests import journal_checks
from tests.local_deployment import Handle, LocalDeployment, git, until
from tests.model_scripts import Json, Task, command, create, done, play, script, turn, writes_file

pytestmark = pytest.mark.minutes

SMALL = {"README.md": "A small thing.\n"}
SLOW = 6_000
"""Milliseconds that a model thinks where a request is cancelled or its worker is killed."""


def _slow(name: str, *, delay_ms: int = SLOW, **more: Any) -> Task:
    """Return a task whose agent is met while it thinks."""
    return Task(
        id=name,
        writes=(f"{name}.txt", f"{name}-2.txt"),
        acceptance=(f"test -e {name}.txt && test -e {name}-2.txt",),
        coder=(
            turn(create(f"{name}.txt", f"{name}\n")),
            turn(create(f"{name}-2.txt", f"{name}\n"), delay_ms=delay_ms),
            done(),
        ),
        **more,
    )


def _again(request: str, attempt: int, *turns: Json, task: str = "red") -> Json:
    """Return the cast of the coder that begins a task anew in an attempt."""
    match = {"role": "coder", "request": f"request/{request}*", "task": task}
    return {"match": {**match, "agent": f"*/retry-{attempt}/*"}, "turns": [*turns]}


RED = Task(
    id="red",
    writes=("red.txt",),
    acceptance=("echo red has no second line; grep -q two red.txt",),
    coder=(turn(create("red.txt", "one\n")), *[done("It is fine.")] * 5),
)


def _mends(attempt: int) -> tuple[Json, ...]:
    """Return the turns of a coder that is told of an attempt, finds its change, and mends it."""
    told = [f"Attempt {attempt} at this task ended: `echo red has no second line"]
    line = {"command": "cat red.txt; echo two >> red.txt"}
    return (
        turn({"tool": "run_command", "input": line}, expect={"last_user_contains": told}),
        done(expect={"results": [{"is_error": False, "contains": ["one"]}]}),
    )


CUT = Task(
    id="cut",
    writes=("cut.txt", "more.txt"),
    acceptance=("test -e more.txt",),
    coder=(
        turn(create("cut.txt", "1\n")),
        turn(command("echo boom; exit 3"), say="I run it."),
        turn(say="I would rather not.", stop="refusal"),
    ),
)
"""Its agent is cut, as at a limit, before it is told what its last command came to."""


def _goes_on() -> tuple[Json, ...]:
    """Return the turns of a coder that is told all that the attempt before has recorded."""
    told = [
        "Ledger of the attempt before, kept by the system",
        "`echo boom; exit 3`: exit code 3, 1 of 1 runs failed",
        "cut.txt",
        "Its last words:\nI run it.",
    ]
    return (
        turn(create("more.txt", "2\n"), expect={"last_user_contains": told}),
        done(),
    )


PLAYS = [
    play(
        "again-cancelled",
        writes_file("landed", "landed.txt", "1\n"),
        _slow("open", depends_on=("landed",)),
    ),
    play(
        "again-terminated",
        writes_file("landed", "landed.txt", "1\n"),
        _slow("open", depends_on=("landed",)),
    ),
    [
        _again("again-failed", 2, *_mends(1)),
        *play(
            "again-failed",
            writes_file("fine", "fine.txt", "fine\n"),
            RED,
            writes_file("after", "after.txt", "x\n", depends_on=("red",)),
        ),
    ],
    [
        _again("again-twice", 2, done("Still fine."), *[done("It is fine.")] * 5),
        _again("again-twice", 3, *_mends(2)),
        *play("again-twice", RED),
    ],
    play("again-checked", writes_file("only", "only.txt", "1\n")),
    [
        _again("again-one", 2, turn(command("echo 2 >> good.txt")), done(), task="good"),
        *play("again-one", writes_file("good", "good.txt", "1\n"), RED),
    ],
    [
        _again("again-cut", 2, *_goes_on(), task="cut"),
        *play("again-cut", CUT),
    ],
    play("again-refused", writes_file("only", "only.txt", "1\n")),
    play("again-poor", writes_file("only", "only.txt", "1\n")),
]


async def _retried(deployment: LocalDeployment, name: str, *words: str) -> CompletedProcess[str]:
    ended = await deployment.starter("retry", name, *words)
    print(ended.stderr, ended.stdout)
    return ended


async def _status(deployment: LocalDeployment, handle: Handle) -> RequestStatus:
    ending = await deployment.ending(handle)
    assert ending.status is not None
    return ending.status


def _turns(deployment: LocalDeployment, request: str, role: str, task: str) -> list[int]:
    """Return the turns of a role's finished calls for a task, in order."""
    return [
        entry.turn
        for entry in deployment.journal(f"request/{request}")
        if (entry.role, entry.task, entry.finished) == (role, task, True)
    ]


async def _thinks(deployment: LocalDeployment, request: str, task: str) -> None:
    """Wait until a task's agent has made its first turn: the second one takes a while."""
    await until(lambda: _turns(deployment, request, "coder", task) == [0])
    await until(lambda: deployment.has_file(f"{task}.txt"))


async def test_a_cancelled_request_goes_on_where_it_was(deployment: LocalDeployment) -> None:
    """What has landed stays, the task at work goes on in its conversation, whatever it was told; no
    call is bought twice, and every command tells of one request with one cost.
    """
    name = "again-cancelled"
    folder = deployment.repository(name, SMALL)
    handle = await deployment.start_request(name, folder, branch="out")
    await _thinks(deployment, name, "open")
    await handle.signal("note", "mind the tests")
    await handle.cancel()
    assert (await deployment.ending(handle)).state is RunState.CANCELLED
    before = len([entry for entry in deployment.journal(handle.id) if entry.finished])
    assert f"retry {name}" in (await deployment.starter("status", name)).stdout

    again = await _retried(deployment, name)
    assert again.returncode == 0, again
    assert "goes on (attempt 2); done already: landed; again: open" in again.stderr
    assert git(folder, "ls-tree", "-r", "--name-only", "out").split() == [
        *("README.md", "landed.txt", "open-2.txt", "open.txt"),
    ]
    assert journal_checks.repeated(deployment.journal(handle.id), same_bytes=False) == []
    assert _turns(deployment, name, "planner", "planner") == [0]
    assert _turns(deployment, name, "coder", "landed") == [0, 1]
    assert _turns(deployment, name, "coder", "open") == [0, 1, 2]
    finished = [entry for entry in deployment.journal(handle.id) if entry.finished]
    assert len(finished) > before
    status = await _status(deployment, handle)
    assert (status.state, status.attempt) == (RunState.DONE, 2)
    shown = [
        json.loads((await deployment.starter(*words, name, "--json")).stdout)["cost_usd"]
        for words in (("status",), ("cost",), ("show",))
    ]
    listed = json.loads((await deployment.starter("list", "--json")).stdout)
    mine = [row for row in listed if row["id"] == handle.id]
    assert [row["state"] for row in mine] == ["DONE"]
    costs = {*shown, mine[0]["cost_usd"], round(status.cost_usd, 6)}
    assert len(costs) == 1, costs
    # A call that was broken off by the cancellation may have to be paid for, too.
    assert costs.pop() >= round(journal_checks.cost_usd(finished), 6)
    assert deployment.left_behind() == []


async def test_a_terminated_request_goes_on_where_it_was(deployment: LocalDeployment) -> None:
    """It has left no end: every agent is started again, and finds each call that it has made."""
    name = "again-terminated"
    folder = deployment.repository(name, SMALL)
    handle = await deployment.start_request(name, folder, branch="out")
    await _thinks(deployment, name, "open")
    await handle.terminate()
    again = await _retried(deployment, name)
    assert again.returncode == 0, again
    assert git(folder, "diff", "--name-only", "main..out").split() == [
        *("landed.txt", "open-2.txt", "open.txt"),
    ]
    assert journal_checks.repeated(deployment.journal(handle.id), same_bytes=False) == []
    assert _turns(deployment, name, "planner", "planner") == [0]
    assert _turns(deployment, name, "coder", "landed") == [0, 1]
    assert deployment.left_behind() == []


async def test_an_agent_that_was_cut_is_handed_over_to_the_next_attempt(
    deployment: LocalDeployment,
) -> None:
    """With the outcome of a command that it was not told any more; no call is bought twice."""
    name = "again-cut"
    folder = deployment.repository(name, SMALL)
    handle = await deployment.start_request(name, folder, branch="out")
    assert (await deployment.ending(handle)).state is RunState.FAILED
    again = await _retried(deployment, name)
    assert again.returncode == 0, again
    names = git(folder, "ls-tree", "-r", "--name-only", "out").split()
    assert names == ["README.md", "cut.txt", "more.txt"]
    entries = deployment.journal(handle.id)
    assert [entry.failure for entry in entries if entry.unanswered or entry.unexpected] == []
    assert journal_checks.repeated(entries) == []


async def test_a_failed_task_runs_again_and_what_was_delivered_is_moved_on(
    deployment: LocalDeployment,
) -> None:
    """The new attempt is told why the first one failed, and has its changes; what waited for it
    runs; the branch that had the rest moves on; finished tasks buy nothing.
    """
    name = "again-failed"
    folder = deployment.repository(name, SMALL)
    handle = await deployment.start_request(name, folder, branch="out")
    assert (await deployment.ending(handle)).state is RunState.FAILED
    assert git(folder, "diff", "--name-only", "main..out") == "fine.txt"
    first = git(folder, "rev-parse", "out")
    why = await deployment.starter("why", name)
    assert f"retry {name}" in why.stdout, why
    spent = (await _status(deployment, handle)).cost_usd

    again = await _retried(deployment, name)
    assert again.returncode == 0, again
    assert git(folder, "show", "out:red.txt").splitlines() == ["one", "two"]
    assert git(folder, "diff", "--name-only", f"{first}..out").split() == ["after.txt", "red.txt"]
    git(folder, "merge-base", "--is-ancestor", first, "out")
    assert _turns(deployment, name, "planner", "planner") == [0]
    assert _turns(deployment, name, "coder", "fine") == [0, 1]
    assert journal_checks.repeated(deployment.journal(handle.id)) == []
    entries = deployment.journal(handle.id)
    assert [entry.failure for entry in entries if entry.unanswered or entry.unexpected] == []
    status = await _status(deployment, handle)
    assert status.cost_usd > spent
    assert status.cost_usd == pytest.approx(journal_checks.cost_usd(entries))
    rows = {row.id: row for row in status.tasks}
    assert rows["red"].earlier is not None
    log = (await deployment.starter("log", name, "red", "--full")).stdout
    assert log.count("Attempt 1 at this task ended") == 1
    assert "== red coder begins in attempt 2" in log
    assert deployment.left_behind() == []


async def test_a_retry_of_a_retry_is_told_of_the_last_attempt(deployment: LocalDeployment) -> None:
    """Attempts fail alike, each on the last one's changes, until one mends it."""
    name = "again-twice"
    folder = deployment.repository(name, SMALL)
    handle = await deployment.start_request(name, folder, branch="out")
    await deployment.ending(handle)
    assert (await _retried(deployment, name)).returncode == 1
    assert (await _status(deployment, handle)).attempt == 2
    last = await _retried(deployment, name, "red")
    assert last.returncode == 0, last
    assert git(folder, "show", "out:red.txt").splitlines() == ["one", "two"]
    entries = deployment.journal(handle.id)
    assert [entry.failure for entry in entries if entry.unanswered or entry.unexpected] == []
    assert journal_checks.repeated(entries) == []


async def test_a_red_final_check_is_run_again_for_nothing(deployment: LocalDeployment) -> None:
    """Once its cause is gone, the same tree is delivered: no model is asked."""
    name = "again-checked"
    folder = deployment.repository(name, SMALL)
    green_from = int(time.time()) + 25
    check = f"test $(date +%s) -ge {green_from}"
    handle = await deployment.start_request(name, folder, branch="out", checks=[check])
    ending = await deployment.ending(handle)
    assert ending.state is RunState.FAILED
    assert ending.reason.startswith("`test $(date")
    calls = len(deployment.journal(handle.id))
    await until(lambda: time.time() > green_from)
    again = await _retried(deployment, name, "--detach")
    assert again.returncode == 3, again
    status = await deployment.delivered(handle)
    assert status.commit == git(folder, "rev-parse", "out")
    assert len(deployment.journal(handle.id)) == calls


async def test_a_task_that_is_done_can_be_done_again_alone(deployment: LocalDeployment) -> None:
    """Only the task that is named runs; the one that failed stays as it was."""
    name = "again-one"
    folder = deployment.repository(name, SMALL)
    handle = await deployment.start_request(name, folder, branch="out")
    await deployment.ending(handle)
    again = await _retried(deployment, name, "good")
    assert again.returncode == 1, again
    assert "again: good" in again.stderr
    rows = {row.id: row for row in (await _status(deployment, handle)).tasks}
    assert git(folder, "show", "out:good.txt").splitlines() == ["1", "2"]
    assert (rows["good"].state, rows["red"].state) == (TaskState.DONE, TaskState.FAILED)
    # How the failed one is fetched stands as before.
    words = shlex.split(rows["red"].kept)
    git(folder, *words[1:])
    assert git(folder, "show", "FETCH_HEAD:red.txt") == "one"


async def test_what_cannot_go_on_is_refused_with_what_to_do(deployment: LocalDeployment) -> None:
    """An open, a delivered, an unknown request; one that was refused, whose task or money is not
    there, or whose repository has gone: nothing is started.
    """
    folder = deployment.repository("again-refused", SMALL)
    handle = await deployment.start_request("again-refused", folder, approve=["plan"])
    await deployment.waiting(handle)
    runs = await _retried(deployment, "again-refused")
    assert (runs.returncode, "has not ended (WAITING_APPROVAL)" in runs.stderr) == (2, True), runs
    await handle.cancel()
    await deployment.ending(handle)
    task = await _retried(deployment, "again-refused", "nothing")
    assert "there is no task 'nothing': only" in task.stderr, task
    poor = await _retried(deployment, "again-refused", "--budget", "0.001")
    assert "give it more with --budget-usd" in poor.stderr, poor
    away = folder.rename(folder.with_name("away"))
    gone = await _retried(deployment, "again-refused")
    assert "move it back" in gone.stderr, gone
    away.rename(folder)

    done_ = await deployment.start_request("again-poor", deployment.repository("poor", SMALL))
    await deployment.delivered(done_)
    over = await _retried(deployment, "again-poor")
    assert "run --after again-poor" in over.stderr, over
    unknown = await _retried(deployment, "again-never")
    assert "No request is called again-never" in unknown.stderr, unknown
    wrong = await deployment.start_request("again-wrong", folder, base="no-such-branch")
    await deployment.ending(wrong)
    refused = await _retried(deployment, "again-wrong")
    assert "was refused, and nothing of it is kept" in refused.stderr, refused
    for ended in (runs, task, poor, gone, over, unknown, refused):
        assert (ended.returncode, "goes on" in ended.stderr) == (2, False), ended
    assert not [each for each in deployment.journal() if each.request == "request/again-wrong"]


async def test_a_refused_request_stands_in_no_list(deployment: LocalDeployment) -> None:
    """A wrong branch, and an input that is none, are listed with --all only."""
    folder = deployment.repository("again-listed", SMALL)
    for name, options in (("again-typo", {"base": "no-such"}), ("again-odd", {"colour": "red"})):
        await deployment.ending(await deployment.start_request(name, folder, **options))
    ran = await deployment.starter("run", "--repo", str(folder), "--base", "none", "again-typed")
    assert ran.returncode == 2, ran

    async def indexed() -> bool:
        return "again-odd" in (await deployment.starter("list", "--all")).stdout

    await until(indexed)
    shown = (await deployment.starter("list")).stdout
    every = (await deployment.starter("list", "--all", "--json")).stdout
    for name in ("again-typo", "again-odd", "again-typed"):
        assert (name in shown, name in every) == (False, True)


async def test_a_worker_killed_in_a_retry_repeats_and_loses_nothing() -> None:
    """Cancelled, retried, the worker killed while the agent thinks, and started again."""
    async with LocalDeployment(
        script(play("again-killed", _slow("open", delay_ms=20_000)))
    ) as deployment:
        name = "again-killed"
        folder = deployment.repository(name, SMALL)
        handle = await deployment.start_request(name, folder, branch="out")
        await _thinks(deployment, name, "open")
        await handle.cancel()
        await deployment.ending(handle)
        left = await _retried(deployment, name, "--detach")
        assert left.returncode == 3, left
        second = await _retried(deployment, name)
        assert "has not ended" in second.stderr, second

        requests = RequestClient(await deployment.client())

        async def thinks_again() -> bool:
            agent = await requests.agent(f"{handle.id}/task/open/coder-1")
            return agent is not None and agent.doing == "turn 2: model"

        await until(thinks_again)
        await deployment.kill_worker()
        await deployment.start_worker()
        status = await deployment.delivered(handle)
        assert status.commit == git(folder, "rev-parse", "out")
        assert journal_checks.repeated(deployment.journal(handle.id)) == []
        assert _turns(deployment, name, "coder", "open")[:1] == [0]
        assert deployment.left_behind() == []
