"""Answers, notes and starts that count only with a code of the home, through every interface."""

import json
from collections.abc import AsyncIterator

import pytest

from contracts.endings import RequestEnding
from contracts.visibility import RunState
from tests.local_deployment import Handle, LocalDeployment, git, snapshot, until
from tests.model_scripts import play, script, writes_file

SMALL = {"README.md": "A small thing.\n"}
_PLAYS = [
    play("by-hand", writes_file("only", "hand.txt", "by hand\n")),
    play("by-starter", writes_file("only", "own.txt", "own\n")),
    play("given-up", writes_file("only", "x.txt", "x\n")),
]


@pytest.fixture(scope="module")
async def coded() -> AsyncIterator[LocalDeployment]:
    """A home whose person wants codes."""
    environ = {"ORCHESTCODE_ANSWER_CODES": "yes"}
    async with LocalDeployment(script(*_PLAYS), environ=environ) as coded:
        yield coded


async def send(coded: LocalDeployment, handle: Handle, name: str, payload: object) -> None:
    """Send a signal by the `temporal` CLI."""
    words = ["workflow", "signal", "--workflow-id", handle.id, "--name", name]
    ended = await coded.temporal(*words, "--input", json.dumps(payload))
    assert ended.returncode == 0, ended.stderr


async def refused(coded: LocalDeployment, handle: Handle, count: int) -> list[str]:
    """Wait until so many answers were refused and return why."""

    async def all_refused() -> bool:
        return len((await coded.status(handle)).refused_answers) >= count

    await until(all_refused)
    return [each.problem for each in (await coded.status(handle)).refused_answers]


async def codes(coded: LocalDeployment, *words: str) -> dict[str, dict[str, str]]:
    """Return what `starter.py code` prints: signal to input."""
    ended = await coded.starter("code", *words)
    assert ended.returncode == 0, ended.stderr
    rows = (line.split(maxsplit=1) for line in ended.stdout.splitlines())
    return {name: json.loads(text) for name, text in rows}


async def test_a_start_without_its_code_is_refused_and_touches_nothing(
    coded: LocalDeployment,
) -> None:
    """By the `temporal` CLI or the web UI: the sentence says how; no store, no repository."""
    folder = coded.repository("forged", SMALL)
    before = snapshot(folder)
    handle = await coded.start_request("forged", folder, code="aaaaaaaaaaaaaaaaaaaa")
    ending = await coded.ending(handle)

    assert ending.state is RunState.FAILED
    assert "orchestcode code ID --start INPUT" in ending.reason
    assert snapshot(folder) == before
    assert not coded.settings.stores.exists() or not any(coded.settings.stores.iterdir())


async def test_the_temporal_cli_starts_notes_and_answers_with_codes(
    coded: LocalDeployment,
) -> None:
    """Without the code, with that of another choice, or once it was used, an answer is kept and
    shown as refused; with it the plan is approved.
    """
    folder = coded.repository("by-hand", SMALL)
    asked = {"repository": str(folder), "request": "by-hand", "approve": ["plan"]}
    made = await coded.starter("code", "request/by-hand", "--start", json.dumps(asked))
    start = json.loads(made.stdout)
    handle = await coded.start_request("by-hand", folder, approve=["plan"], code=start["code"])
    await coded.waiting(handle)
    inputs = await codes(coded, "by-hand")
    note = await codes(coded, "by-hand", "--note", "keep it short")

    await send(coded, handle, "approve", {"approval": "plan"})
    await refused(coded, handle, 1)
    await send(coded, handle, "approve", {**inputs["approve"], "code": inputs["reject"]["code"]})
    await refused(coded, handle, 2)
    await send(coded, handle, "note", {"text": "no code"})
    await refused(coded, handle, 3)
    await send(coded, handle, "note", note["note"])
    assert [each.id for each in (await coded.status(handle)).approvals] == ["plan"]
    await send(coded, handle, "approve", inputs["approve"])
    ended = await coded.delivered(handle)

    assert len(ended.refused_answers) == 3
    assert all("without its code" in each.problem for each in ended.refused_answers)
    assert not any(inputs["reject"]["code"] in each.received for each in ended.refused_answers)
    assert git(folder, "show", f"{ended.branch}:hand.txt") == "by hand"

    again = await coded.start_request("by-hand", folder, approve=["plan"], code=start["code"])
    assert "was used by another run" in (await coded.ending(again)).reason


async def test_starter_sends_its_codes_by_itself(coded: LocalDeployment) -> None:
    """A person who uses `starter.py` alone notices nothing."""
    folder = coded.repository("by-starter", SMALL)
    ran = await coded.starter(
        "run", "--repo", str(folder), "--approve", "plan", "--detach", "by-starter"
    )
    name = ran.stderr.split("started request/")[1].split()[0]
    handle = await coded.handle(name)
    await coded.waiting(handle)
    noted = await coded.starter("note", name, "thanks")
    approved = await coded.starter("approve", name, "plan")
    ended = await coded.delivered(handle)

    assert (noted.returncode, approved.returncode) == (0, 0), approved.stderr
    assert approved.stdout.startswith("'plan' is approved by ")
    assert ended.refused_answers == ()
    assert ended.ending is not RequestEnding.REFUSED


async def test_a_cancellation_needs_no_code_and_touches_no_repository(
    coded: LocalDeployment,
) -> None:
    """Temporal's cancel has no input for one; the request ends in order."""
    folder = coded.repository("given-up", SMALL)
    before = snapshot(folder)
    asked = {"repository": str(folder), "request": "given-up", "approve": ["plan"]}
    made = await coded.starter("code", "request/given-up", "--start", json.dumps(asked))
    code = json.loads(made.stdout)["code"]
    handle = await coded.start_request("given-up", folder, approve=["plan"], code=code)
    await coded.waiting(handle)
    cancelled = await coded.temporal("workflow", "cancel", "-w", handle.id)
    ending = await coded.ending(handle)

    assert cancelled.returncode == 0, cancelled.stderr
    assert ending.state is RunState.CANCELLED
    assert snapshot(folder) == before
