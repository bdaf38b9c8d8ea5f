"""Threads: a request that follows others knows what they came to, and starts from there."""

import json

import pytest

from contracts.visibility import RunState
from tests import journal_checks
from tests.local_deployment import LocalDeployment, git, until
from tests.model_scripts import Task, command, create, done, plan_of, play, turn, view, writes_file

pytestmark = pytest.mark.minutes

SMALL = {"README.md": "A small thing.\n"}


def _told(*words: str, task: Task) -> list[dict[str, object]]:
    """Return the turns of a planner that is told of the runs before."""
    return [plan_of([task], expect={"last_user_contains": ["Earlier runs of this thread", *words]})]


def _writes(name: str) -> Task:
    return writes_file(name, f"{name}.txt", f"{name}\n")


DECIDES = Task(
    id="decides",
    writes=("decides.txt",),
    acceptance=("test -f decides.txt",),
    coder=(
        turn(create("decides.txt", "decides\n")),
        turn(command("echo boom; exit 3")),
        turn(view("decides.txt")),
        turn(view("README.md")),
        turn({"tool": "handoff", "input": {"state": "So far.", "decisions": "The port is 4711."}}),
    ),
)
"""Its coder decides something, hands over, and is done in its next window."""
FRESH = {
    "match": {"request": "request/thread-decides*", "role": "coder", "contains": "The port is"},
    "turns": [done("Decided and written.")],
}
PLAYS = [
    play("thread-one", _writes("one")),
    play(
        "thread-two",
        _writes("two"),
        planner=_told("Asked: thread-one", "Delivered on branch first", task=_writes("two")),
    ),
    play(
        "thread-three",
        _writes("three"),
        planner=_told("Asked: thread-one", "Asked: thread-two adds", task=_writes("three")),
    ),
    play("thread-held", _writes("held")),
    play("thread-next", _writes("next"), planner=_told("Asked: thread-held", task=_writes("next"))),
    play("thread-last", _writes("last"), planner=_told("Asked: thread-next", task=_writes("last"))),
    play("thread-left", _writes("left")),
    [FRESH, *play("thread-decides", DECIDES)],
    play(
        "thread-knows",
        _writes("knows"),
        planner=_told(
            "Its ledger:",
            "- [decides] The port is 4711.",
            "- [decides] `echo boom; exit 3`: exit code 3",
            "- `true`: passed",
            "- [decides] Decided and written.",
            task=_writes("knows"),
        ),
    ),
]


async def test_a_follow_up_is_told_of_the_thread_and_starts_from_its_branch(
    deployment: LocalDeployment,
) -> None:
    """Each run starts from what the last one delivered, is told what all were asked and came to,
    and `thread show` tells it of any of them.
    """
    folder = deployment.repository("thread-one", SMALL)
    handle = await deployment.start_request("thread-one", folder, branch="first")
    await deployment.delivered(handle)
    second = await deployment.starter(
        "run", "--thread", "thread-one", "--branch", "second", "thread-two adds more"
    )
    assert second.returncode == 0, second
    assert git(folder, "ls-tree", "--name-only", "second").split() == [
        *("README.md", "one.txt", "two.txt"),
    ]
    # By the id of a follow-up, too.
    found = json.loads((await deployment.starter("thread", "show", "thread-one", "--json")).stdout)
    ids = [run["id"] for run in found["runs"]]
    third = await deployment.starter(
        "run", "--thread", ids[1], "--branch", "third", "thread-three adds the rest"
    )
    assert third.returncode == 0, third
    assert git(folder, "merge-base", "--is-ancestor", "second", "third") == ""
    shown = (await deployment.starter("thread", "show", ids[1])).stdout
    assert "Thread of 3 runs" in shown
    assert "asked: thread-two adds more" in shown
    assert "Delivered on branch third" in shown
    listed = json.loads((await deployment.starter("threads", "--json")).stdout)
    mine = [row for row in listed if row["thread"] == "thread-one"]
    assert [len(row["runs"]) for row in mine] == [3]
    for run in json.loads((await deployment.starter("thread", "show", ids[0], "--json")).stdout)[
        "runs"
    ]:
        entries = deployment.journal(run["id"])
        assert [entry.failure for entry in entries if entry.unanswered or entry.unexpected] == []
        assert journal_checks.repeated(entries) == []


async def test_a_follow_up_is_told_the_ledger_of_the_run_before(
    deployment: LocalDeployment,
) -> None:
    """What was decided, what failed last, the checks: not only what came of it."""
    folder = deployment.repository("thread-decides", SMALL)
    handle = await deployment.start_request(
        "thread-decides", folder, branch="decided", checks=["true"]
    )
    await deployment.delivered(handle)
    second = await deployment.starter(
        "run", "--thread", "thread-decides", "--branch", "known", "thread-knows adds more"
    )
    assert second.returncode == 0, second
    entries = [each for each in deployment.journal() if "thread-knows" in (each.request or "")]
    assert [each.failure for each in entries if each.unanswered or each.unexpected] == []


async def test_follow_ups_wait_for_the_run_at_work_and_start_in_order(
    deployment: LocalDeployment,
) -> None:
    """They are kept by the request that runs, shown with it, and start once it has ended."""
    folder = deployment.repository("thread-held", SMALL)
    handle = await deployment.start_request(
        "thread-held", folder, branch="held", approve=["delivery"]
    )
    await deployment.waiting(handle)
    for text in ("thread-next goes on", "thread-last goes on"):
        queued = await deployment.starter("run", "--thread", "thread-held", text)
        assert (queued.returncode, "starts once" in queued.stderr) == (3, True), queued
    waiting = json.loads(
        (await deployment.starter("thread", "show", "thread-held", "--json")).stdout
    )["waiting"]
    assert [line.partition(": ")[2] for line in waiting] == [
        *("thread-next goes on", "thread-last goes on"),
    ]
    await handle.signal("approve", "delivery")
    await deployment.delivered(handle)

    async def all_done() -> bool:
        found = await deployment.starter("thread", "show", "thread-held", "--json")
        runs = json.loads(found.stdout)["runs"]
        return [run["state"] for run in runs] == ["DONE"] * 3

    await until(all_done, seconds=120)
    found = json.loads((await deployment.starter("thread", "show", "thread-held", "--json")).stdout)
    last = found["runs"][-1]
    assert git(folder, "ls-tree", "--name-only", last["branch"]).split() == [
        *("README.md", "held.txt", "last.txt", "next.txt"),
    ]
    for run in found["runs"]:
        entries = deployment.journal(run["id"])
        assert [entry.failure for entry in entries if entry.unanswered or entry.unexpected] == []


async def test_a_cancelled_run_starts_none_of_its_follow_ups(deployment: LocalDeployment) -> None:
    """They stay in its last status, so that a person can ask for them again."""
    folder = deployment.repository("thread-left", SMALL)
    handle = await deployment.start_request("thread-left", folder, branch="left", approve=["plan"])
    await deployment.waiting(handle)
    queued = await deployment.starter("run", "--thread", "thread-left", "thread-never starts")
    assert queued.returncode == 3, queued
    await handle.cancel()
    assert (await deployment.ending(handle)).state is RunState.CANCELLED
    shown = (await deployment.starter("thread", "show", "thread-left")).stdout
    assert "Thread of 1 run" in shown
    assert "thread-never starts" in shown
    assert not [entry for entry in deployment.journal() if "thread-never" in (entry.request or "")]
