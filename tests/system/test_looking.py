"""What a person sees of a request: its log, its changes, why it stands so, and what it costs."""

import asyncio
import json
import os
from typing import Any

import pytest

from cli.client import RequestClient
from contracts.visibility import RunState
from infra.kept.costs import costs_microusd
from tests import journal_checks
from tests.local_deployment import LocalDeployment, until
from tests.model_scripts import (
    Json,
    Task,
    command,
    create,
    done,
    finish,
    play,
    turn,
    view,
    writes_file,
)

SMALL = {"README.md": "A small thing.\n"}
FINDING = {"priority": 1, "title": "the second line is missing", "path": "b.txt", "line": 1}
SENT_BACK = Task(
    id="second",
    writes=("b.txt",),
    depends_on=("first",),
    coder=(
        turn(command("printf '\\033[2Jb\\n' | tee b.txt; exit 3"), say="I write it."),
        done("First try."),
        turn(command("printf 'b\\nc\\n' > b.txt"), say="One line more."),
        done("Second try."),
    ),
    reviewer=(
        turn(
            finish(
                verdict="approve",
                summary="Now it is whole.",
                findings=[],
                earlier=[{"finding": "F1", "state": "resolved", "reason": "It is there."}],
            )
        ),
    ),
)
FIRST_REVIEW: Json = {
    "match": {
        "role": "reviewer",
        "request": "request/looked-at*",
        "task": "second",
        "attempt": "1",
    },
    "turns": [turn(finish(verdict="revise", summary="Not yet.", findings=[FINDING]))],
}
AT_WORK = Task(
    id="only",
    writes=("z.txt",),
    coder=(
        turn(create("z.txt", "z\n")),
        turn(command("touch begun; sleep 600", timeout_seconds=900)),
        done(),
    ),
)
RED = Task(
    id="only",
    writes=("r.txt",),
    acceptance=("echo what is wrong; exit 7",),
    coder=(turn(create("r.txt", "r\n")), *(done(f"Try {number}.") for number in range(9))),
)
TALKING = Task(
    id="only",
    writes=("t.txt",),
    coder=(
        turn(create("t.txt", "t\n")),
        turn(
            view("t.txt"),
            say="I talk at length. " * 40,
            fault=[{"kind": "slow", "ms": 500}],
        ),
        done(),
    ),
)
HASTY = Task(
    id="only",
    writes=("h.txt",),
    coder=(
        turn(create("h.txt", "h\n"), finish(summary="In one go.")),
        done("As it stands."),
    ),
)
PLAYS = [
    play("looked-hasty", HASTY),
    [FIRST_REVIEW, *play("looked-at", writes_file("first", "a.txt", "a\n"), SENT_BACK)],
    play("looked-while", AT_WORK),
    play("looked-talking", TALKING),
    play("looked-red", RED),
    play("looked-asks", writes_file("only", "x.txt", "x\n")),
    play(
        "looked-unplanned",
        AT_WORK,
        planner=[turn(view("README.md")), turn(fault=[{"kind": "status", "code": 400}])],
    ),
]


async def _says(deployment: LocalDeployment, *words: str) -> str:
    ended = await deployment.starter(*words)
    assert ended.returncode == 0, ended.stderr
    assert "\x1b" not in ended.stdout
    return ended.stdout


async def _tells(deployment: LocalDeployment, *words: str) -> Any:  # noqa: ANN401, RUF100
    return json.loads(await _says(deployment, *words, "--json"))


async def _costs(deployment: LocalDeployment, request: str) -> list[float]:
    """Return what each command says that a request has cost, in dollars."""
    listed = {row["id"]: row["cost_usd"] for row in await _tells(deployment, "list")}
    of_all = {row["id"]: row["cost_usd"] for row in await _tells(deployment, "cost")}
    one = [await _tells(deployment, verb, request) for verb in ("status", "cost", "show")]
    key = (await RequestClient(await deployment.client()).find(request)).key
    kept = await costs_microusd(deployment.settings.stores, key)
    assert kept is not None
    return [kept / 1e6, listed[request], of_all[request], *(each["cost_usd"] for each in one)]


async def test_a_request_is_seen_in_its_log_its_diff_and_its_cost(
    deployment: LocalDeployment,
) -> None:
    """Words, calls, outputs, the review and what was sent back stand in order; the diff is what has
    landed; every command says the sum of the service's own counts.
    """
    folder = deployment.repository("looked-at", SMALL)
    handle = await deployment.start_request("looked-at", folder)
    await deployment.delivered(handle)

    log = await _says(deployment, "log", handle.id, "second")
    lines = (
        "second coder begins",
        "I write it.",
        "-> run_command printf",
        "[exit code 3]",
        "=> hands in its work",
        "=> verdict: revise",
        "P1 b.txt:1 the second line is missing",
        "sent back:",
        "One line more.",
        "=> verdict: approve",
    )
    places = [log.find(line) for line in lines]
    assert -1 not in places
    assert places == sorted(places)
    turns = [
        json.loads(line)
        for line in (await _says(deployment, "log", handle.id, "--json")).splitlines()
    ]
    assert {each["role"] for each in turns} == {"planner", "coder", "reviewer"}
    assert any("looked-at" in each["text"] for each in turns[0]["told"])

    diff = await _says(deployment, "diff", handle.id)
    assert diff.count("diff --git") == 2
    assert "diff --git a/b.txt b/b.txt" in await _says(deployment, "diff", handle.id, "second")
    shown = await _tells(deployment, "show", handle.id)
    assert [task["goal"] for task in shown["plan"]] == [
        "Do what first says.",
        "Do what second says.",
    ]
    assert [each["verdict"] for each in shown["reviews"]] == ["approve", "revise", "approve"]
    assert shown["options"]["repository"] == str(folder)

    paid = journal_checks.cost_usd(deployment.journal(handle.id))
    assert await _costs(deployment, handle.id) == pytest.approx([paid] * 6, abs=1e-6)
    assert sum(turn["cost_usd"] for turn in turns) == pytest.approx(paid, abs=1e-6)


@pytest.mark.minutes
async def test_work_that_is_refused_is_not_shown_as_handed_in_and_answers_are_listed(
    deployment: LocalDeployment,
) -> None:
    """A `finish` beside other calls is refused in `log`; `show` says what people have answered."""
    folder = deployment.repository("looked-hasty", SMALL)
    handle = await deployment.start_request("looked-hasty", folder, approve=["plan"])
    await deployment.waiting(handle)
    await _says(deployment, "approve", handle.id, "plan")
    await deployment.delivered(handle)

    log = await _says(deployment, "log", handle.id, "only")
    lines = (
        "-> finish In one go.\n     ! refused: Call finish alone, after",
        "=> hands in its work",
        "As it stands.",
    )
    places = [log.find(line) for line in lines]
    assert -1 not in places
    assert places == sorted(places)
    assert log.count("=> hands in its work") == 1
    assert "sent back:" not in log
    shown = await _says(deployment, "show", handle.id)
    assert "Answers:\n  plan approved by " in shown
    found = await _tells(deployment, "show", handle.id)
    assert [(each["approval"], each["choice"]) for each in found["answers"]] == [
        ("plan", "approve")
    ]
    assert not [each for each in deployment.journal(handle.id) if each.unexpected]


@pytest.mark.minutes
async def test_a_request_at_work_and_cancelled_keeps_its_cost_plan_and_repository(
    deployment: LocalDeployment,
) -> None:
    """What its agent has spent and changed so far is shown while it works, and afterwards."""
    folder = deployment.repository("looked-while", SMALL)
    handle = await deployment.start_request("looked-while", folder)
    await until(lambda: deployment.has_file("begun"))
    paid = journal_checks.cost_usd(deployment.journal(handle.id))

    assert paid > 0
    assert "+z" in await _says(deployment, "diff", handle.id, "only")
    assert "only: its coder: run_command" in await _says(deployment, "why", handle.id)
    assert await _costs(deployment, handle.id) == pytest.approx([paid] * 6, abs=1e-6)
    await _says(deployment, "cancel", handle.id)
    status = await _tells(deployment, "status", handle.id)
    assert (status["state"], status["repository"]) == (RunState.CANCELLED, str(folder))
    assert [task["id"] for task in status["tasks"]] == ["only"]
    assert status["tasks"][0]["cost"] > 0
    assert await _costs(deployment, handle.id) == pytest.approx([paid] * 6, abs=1e-6)
    assert "+z" in await _says(deployment, "diff", handle.id)


@pytest.mark.minutes
async def test_a_reply_that_comes_while_its_request_is_cancelled_is_in_every_cost(
    deployment: LocalDeployment,
) -> None:
    """As soon as `cancel` says that the request has ended, and the same afterwards."""
    handle = await deployment.start_request(
        "looked-talking", deployment.repository("looked-talking", SMALL)
    )
    await deployment.reply_comes("length")
    paid = journal_checks.cost_usd(deployment.journal(handle.id))
    await _says(deployment, "cancel", handle.id)
    costs = await _costs(deployment, handle.id)

    assert costs[0] > paid
    assert costs == pytest.approx([costs[0]] * 6, abs=1e-6)
    status = await deployment.status(handle)
    assert status.cost_usd == pytest.approx(costs[0], abs=1e-6)


async def test_why_names_the_command_its_exit_code_and_its_output(
    deployment: LocalDeployment,
) -> None:
    """Of a task that was given up because its acceptance command is red."""
    handle = await deployment.start_request(
        "looked-red", deployment.repository("looked-red", SMALL)
    )
    ending = await deployment.ending(handle)

    assert ending.state is RunState.FAILED
    told = await _says(deployment, "why", handle.id)
    assert "$ echo what is wrong; exit 7  (exit code 7)\n  | what is wrong" in told
    paid = journal_checks.cost_usd(deployment.journal(handle.id))
    assert await _costs(deployment, handle.id) == pytest.approx([paid] * 6, abs=1e-6)


async def test_what_a_planner_spent_before_it_failed_counts(deployment: LocalDeployment) -> None:
    """Its turns are in every sum, though no plan came of them."""
    folder = deployment.repository("looked-unplanned", SMALL)
    handle = await deployment.start_request("looked-unplanned", folder)
    await deployment.ending(handle)

    paid = journal_checks.cost_usd(deployment.journal(handle.id))
    assert paid > 0
    assert await _costs(deployment, handle.id) == pytest.approx([paid] * 6, abs=1e-6)
    (part, *_) = (await _tells(deployment, "cost", handle.id))["parts"]
    assert (part["role"], part["turns"]) == ("planner", 1)


async def test_the_commands_that_are_shown_answer_when_pasted_anywhere(
    deployment: LocalDeployment,
) -> None:
    """A plan is shown with its goal and acceptance, a delivery with its diffstat; both are approved
    by the line that stands first, in another folder and without the variables of the first shell.
    """
    folder = deployment.repository("looked-asks", SMALL)
    steps = ["plan", "delivery"]
    handle = await deployment.start_request("looked-asks", folder, approve=steps)
    for shown in (("goal: Do what only says.", "accepted by: true"), (" x.txt | 1 +",)):
        await deployment.waiting(handle)
        told = await _says(deployment, "status", handle.id)
        assert all(line in told for line in shown)
        first = next(line for line in told.splitlines() if "answer with: " in line)
        await _paste(first.partition("answer with: ")[2])
    await deployment.delivered(handle)


async def _paste(line: str) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": "/"}
    pasted = await asyncio.create_subprocess_shell(line, cwd="/", env=environ)
    assert await pasted.wait() == 0
