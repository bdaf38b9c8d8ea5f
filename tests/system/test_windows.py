"""An agent whose window is full goes on in a fresh one, on a real worker, whatever is killed."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from contracts.handoff import HANDOFF
from rehearsal import journal
from rehearsal.journal import Entry
from tests import journal_checks
from tests.local_deployment import LocalDeployment, git
from tests.model_scripts import Json, Task, command, create, done, plan_of, turn, view

FULL = {"input_tokens": 115_000}
PLANTED = "The port is 4711."


def hands_over(**note: object) -> Json:
    """The turn in which an agent hands over."""
    return turn({"tool": HANDOFF, "input": {"state": "It goes on.", **note}})


def past(tool: str, **arguments: object) -> Json:
    """A call that reads the agent's past."""
    return {"tool": tool, "input": arguments}


def casts(name: str, *windows: Sequence[Json]) -> list[Json]:
    """One task whose coder has several windows, each told apart by its first message."""
    task = Task(id="long", writes=("*.txt",), acceptance=("test -f c.txt",), coder=windows[0])
    after = [
        {
            "match": {
                "request": f"request/{name}*",
                "role": "coder",
                "contains": f"[w{number}] the window was",
            },
            "turns": list(turns),
        }
        for number, turns in reversed(list(enumerate(windows[1:], start=1)))
    ]
    planner = {
        "match": {"request": f"request/{name}*", "role": "planner"},
        "turns": [plan_of([task])],
    }
    return [planner, *after, *task.casts(f"request/{name}*")]


WINDOWS = (
    (
        turn(create("a.txt", "one\n")),
        turn(command("echo boom; exit 3")),
        turn(view("a.txt"), usage=FULL),
        hands_over(decisions=f"{PLANTED}"),
    ),
    (
        turn(past("history_read", handle="w1.t2.r1")),
        turn(
            past("history_search", text="boom"),
            expect={"results": [{"is_error": False, "contains": "boom"}]},
        ),
        turn(
            create("b.txt", "two\n"),
            expect={"results": [{"is_error": False, "contains": "w1.t2.r1"}]},
            usage=FULL,
        ),
        hands_over(),
    ),
    (
        turn(create("c.txt", "three\n")),
        done("Three files."),
    ),
)
PLAYS = [casts("windows", *WINDOWS)]


def bodies(entries: Sequence[Entry], role: str = "coder") -> list[dict[str, Any]]:
    """The requests of a role."""
    return [json.loads(each.body or "{}") for each in entries if each.role == role]


async def test_a_task_goes_on_over_three_windows_and_is_delivered(
    deployment: LocalDeployment,
) -> None:
    """The work of all windows is in the branch, a decision of the first is told in the third, the
    past is read by its tools, and people see each handoff with its reason and what it all cost.
    """
    repository = deployment.repository("windows", {"README.md": "A small thing.\n"})
    handle = await deployment.start_request("windows", repository)
    status = await deployment.delivered(handle, seconds=240)

    names = git(repository, "ls-tree", "--name-only", str(status.branch)).split()
    assert {"a.txt", "b.txt", "c.txt"} <= set(names)
    entries = deployment.journal(status.id)
    assert journal.failures(entries) == []
    assert journal_checks.repeated(entries) == []
    assert status.cost_usd == pytest.approx(journal_checks.cost_usd(entries), abs=1e-6)
    shown = await deployment.starter("log", status.id, "long")
    assert "goes on in window 2: the window was nearly full" in shown.stdout
    assert "goes on in window 3: the window was nearly full" in shown.stdout
    lines = (await deployment.starter("log", status.id, "long", "--json", "--full")).stdout
    openings = [each for each in map(json.loads, lines.splitlines()) if each["turn"] == 0]
    third = next(each for each in openings if each["window"] == 3 and each["role"] == "coder")
    told = "\n".join(each["text"] for each in third["told"])
    assert PLANTED in told
    assert "`echo boom; exit 3`: exit code 3" in told
    assert third["because"] == "the window was nearly full"
