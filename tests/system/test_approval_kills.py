"""Workers that are killed around a person's answer: what was approved is done once, and nothing
else; a question that waits goes on waiting.
"""

import json
from collections.abc import AsyncIterator

import pytest

from contracts.agent import AgentStatus
from contracts.request import RequestStatus
from tests import journal_checks
from tests.local_deployment import Handle, LocalDeployment, git, until
from tests.model_scripts import Json, Task, command, done, finish, play, script, turn, writes_file

pytestmark = pytest.mark.minutes

ASKS = {
    ".orchestcode/settings.json": json.dumps({"sandbox": {"autoAllowBashIfSandboxed": False}}),
    "README.md": "A small thing.\n",
}
SLOW = "sleep 4"
WRITES = "echo made >> made.txt"


def _writing(line: str, *more: Json) -> Task:
    return Task(id="one", writes=("made.txt",), coder=(turn(command(line)), *more, done()))


CIRCLES = {
    "match": {"role": "coder", "request": "request/stuck*", "task": "one", "agent": "*/coder-1"},
    "turns": [turn(command("cat README.md"))] * 12,
}
SEES_NO_OTHER_WAY = {
    "match": {"role": "planner", "request": "request/stuck*", "task": "one"},
    "turns": [turn(finish(summary="As it is.", tasks=[], answer="There is no better way."))],
}
PLAYS: list[list[Json]] = [
    play("answered-dead", _writing(WRITES)),
    play("killed-in-call", _writing(f"{SLOW} && {WRITES}")),
    play("allowed-again", _writing(WRITES, turn(command(WRITES), delay_ms=15_000))),
    [CIRCLES, SEES_NO_OTHER_WAY, *play("stuck", writes_file("one", "made.txt", "made\n"))],
]


@pytest.fixture(scope="module")
async def own() -> AsyncIterator[LocalDeployment]:
    """A deployment whose worker is killed."""
    async with LocalDeployment(script(*PLAYS)) as deployment:
        yield deployment


async def begun(own: LocalDeployment, name: str, files: dict[str, str]) -> Handle:
    """Start a request in a repository of its own."""
    return await own.start_request(name, own.repository(name, files), checks=["true"])


async def ended(own: LocalDeployment, handle: Handle, made: str = "made") -> RequestStatus:
    """Return the last status of a request that did what was approved once, and paid for it once."""
    status = await own.delivered(handle)
    folder = own.folder / handle.id.removeprefix("request/")
    assert git(folder, "show", f"{status.branch}:made.txt") == made
    assert journal_checks.repeated(own.journal(handle.id)) == []
    assert not [each for each in own.journal(handle.id) if each.unexpected]
    return status


async def doing(own: LocalDeployment, handle: Handle) -> str:
    """Return what the agent of the only task does."""
    row = (await own.status(handle)).tasks[0]
    agent = (await own.client()).get_workflow_handle(str(row.agent))
    found: AgentStatus = await agent.query("status", result_type=AgentStatus)
    return found.doing


async def test_an_answer_that_comes_while_no_worker_runs_counts_once(own: LocalDeployment) -> None:
    """Two, sent one after the other: the first one decides, the call is made once, the second is
    shown as refused.
    """
    handle = await begun(own, "answered-dead", ASKS)
    (question,) = (await own.waiting(handle)).approvals
    await own.kill_worker()
    for name, by in (("approve", "Ann"), ("reject", "Bob")):
        payload = {"approval": question.id, "digest": question.digest, "by": by, "reason": "r"}
        await handle.signal(name, payload)
    await own.start_worker()

    status = await ended(own, handle)
    assert [(each.approval, each.by) for each in status.answers] == [(question.id, "Ann")]
    (refused,) = status.refused_answers
    assert refused.problem == f"'{question.id}' was already approved by Ann."


async def test_a_worker_killed_after_the_answer_makes_the_call_once(own: LocalDeployment) -> None:
    """In the middle of the call: what it left is undone, and it is made as it was approved."""
    handle = await begun(own, "killed-in-call", ASKS)
    (question,) = (await own.waiting(handle)).approvals
    answered = await own.starter("approve", "killed-in-call", "--digest", question.digest[:12])
    assert answered.returncode == 0, answered.stderr

    async def runs() -> bool:
        return (await doing(own, handle)).startswith("run_command")

    await until(runs)
    await own.kill_worker()
    await own.start_worker()
    await ended(own, handle)


async def test_what_was_allowed_for_the_request_is_asked_about_in_no_further_attempt(
    own: LocalDeployment,
) -> None:
    """It is cancelled and retried after the answer; the rule is shown, with who added it."""
    handle = await begun(own, "allowed-again", ASKS)
    (question,) = (await own.waiting(handle)).approvals
    assert question.rules == ("Bash(echo made)",)
    answered = await own.starter("approve", "allowed-again", "--for-request")
    assert answered.returncode == 0, answered.stderr
    await until(lambda: _replies(own, handle))
    await own.kill_worker()
    await own.start_worker()
    await handle.cancel()
    await own.ending(handle)
    retried = await own.starter("retry", "allowed-again", "--detach")
    assert retried.returncode == 3, retried.stderr

    status = await ended(own, handle, "made\nmade")
    assert [rule.text for rule in status.allowed] == ["Bash(echo made)"]
    shown = await own.starter("policy", "show", "--request", "allowed-again")
    assert f"Bash(echo made)  (an answer to {question.id} by " in shown.stdout


async def _replies(own: LocalDeployment, handle: Handle) -> bool:
    return "turn 2" in await doing(own, handle)


async def test_a_question_about_a_stuck_agent_outlives_the_worker(own: LocalDeployment) -> None:
    """It waits with the same digest after a kill, and the hint is told to one agent, once."""
    handle = await begun(own, "stuck", {"README.md": "A small thing.\n"})
    (before,) = (await own.waiting(handle)).approvals
    await own.kill_worker()
    await own.start_worker()
    (after,) = (await own.waiting(handle)).approvals
    assert (before.id, before.digest) == (after.id, after.digest)
    await own.kill_worker()
    hint = {"approval": before.id, "reason": "write the file", "digest": before.digest}
    await handle.signal("revise", hint)
    await own.start_worker()

    status = await ended(own, handle)
    assert [each.approval for each in status.answers] == ["stuck/one/0"]
