"""People in the loop: answers by the `temporal` CLI and by `starter.py`, and refused answers."""

import json
import os
import subprocess
import sys
from pathlib import Path

from contracts.task import TaskState
from contracts.visibility import RunState
from domain.text import visible
from tests.local_deployment import Handle, LocalDeployment, git, until
from tests.model_scripts import Task, create, done, plan_of, play, turn, writes_file

SMALL = {"README.md": "A small thing.\n"}
FIRST = writes_file("first", "first.txt", "1\n")
SECOND = writes_file("second", "second.txt", "2\n")
NOTED = Task(
    id="only",
    writes=("n.txt",),
    coder=(
        turn(create("n.txt", "n\n"), expect={"last_user_contains": ["keep it short"]}),
        done(),
    ),
)
PLAYS = [
    play("by-hand", writes_file("only", "hand.txt", "by hand\n")),
    play("rejected", writes_file("only", "x.txt", "x\n")),
    play(
        "revised",
        FIRST,
        SECOND,
        planner=[
            plan_of([FIRST]),
            plan_of([FIRST, SECOND], expect={"last_user_contains": ["add the second"]}),
        ],
    ),
    play("reviewed", writes_file("only", "r.txt", "r\n")),
    play("shipped", writes_file("only", "s.txt", "s\n")),
    play("amiss", writes_file("only", "a.txt", "a\n")),
    play("risky", writes_file("only", "login.py", "x = 1\n")),
    play("noted", NOTED),
    play("odd-id", writes_file("only", "o.txt", "o\n")),
]


async def _signal(deployment: LocalDeployment, handle: Handle, name: str, payload: object) -> None:
    words = ["workflow", "signal", "--workflow-id", handle.id, "--name", name]
    ended = await deployment.temporal(*words, "--input", json.dumps(payload))
    assert ended.returncode == 0, ended.stderr


async def test_a_request_by_the_temporal_cli_alone_is_found_approved_and_delivered(
    deployment: LocalDeployment,
) -> None:
    """Start, find and approve a request by signal, all with the plain CLI and little input."""
    folder = deployment.repository("by-hand", SMALL)
    payload = {"repository": str(folder), "request": "by hand", "approve": ["plan"]}
    words = ["workflow", "start", "--type", "RequestWorkflow", "--task-queue", "orchestcode"]
    words += ["--workflow-id", "request/by-hand", "--input", json.dumps(payload)]
    started = await deployment.temporal(*words)
    assert started.returncode == 0, started.stderr
    handle = await deployment.handle("by-hand")
    status = await deployment.waiting(handle)
    assert (status.state, status.reason) == (
        RunState.WAITING_APPROVAL,
        "waits for a person: a plan of 1 task",
    )
    await until(lambda: _listed(deployment, handle))
    await _signal(deployment, handle, "approve", {"approval": "plan"})
    ended = await deployment.delivered(handle)
    assert git(folder, "show", f"{ended.branch}:hand.txt") == "by hand"


async def _listed(deployment: LocalDeployment, handle: Handle) -> bool:
    """Return whether the CLI lists the request among those that wait."""
    query = 'OcState="WAITING_APPROVAL" AND OcPendingApprovals=1'
    ended = await deployment.temporal("workflow", "list", "--query", query, "-o", "json")
    return handle.id in ended.stdout


async def test_a_rejected_plan_ends_the_request_with_the_persons_reason(
    deployment: LocalDeployment,
) -> None:
    """After a rejection the request has FAILED with who and why, and nothing is delivered."""
    folder = deployment.repository("rejected", SMALL)
    handle = await deployment.start_request("rejected", folder, approve=["plan"])
    await deployment.waiting(handle)
    ended = await deployment.starter("reject", handle.id, "--reason", "far too big")
    assert ended.returncode == 0, ended.stderr
    ending = await deployment.ending(handle)
    assert ending.state is RunState.FAILED
    assert ending.reason.startswith("the plan was rejected by ")
    assert ending.reason.endswith(": far too big")
    assert git(folder, "branch", "--format=%(refname:short)") == "main"
    assert (await deployment.starter("watch", handle.id)).returncode == 1


async def test_a_revised_plan_follows_the_feedback(
    deployment: LocalDeployment,
) -> None:
    """The planner gets the feedback, and the new plan waits for a new answer."""
    folder = deployment.repository("revised", SMALL)
    handle = await deployment.start_request("revised", folder, approve=["plan"])
    first = (await deployment.waiting(handle)).approvals[0]
    await _signal(deployment, handle, "revise", {"approval": "plan", "reason": "add the second"})

    async def another() -> bool:
        pending = (await deployment.status(handle)).approvals
        return bool(pending) and pending[0].digest != first.digest

    await until(another)
    await _signal(deployment, handle, "approve", {"approval": "plan", "digest": first.digest})
    ended = await deployment.starter("approve", handle.id)
    assert ended.returncode == 0, ended.stderr
    status = await deployment.delivered(handle)
    assert [task.id for task in status.tasks] == ["first", "second"]
    assert "has changed since you looked at it" in status.refused_answers[0].problem


async def test_a_review_waits_for_a_person_and_lands_once_approved(
    deployment: LocalDeployment,
) -> None:
    """With `approve: review` the patch waits, `status` shows it and exactly it lands afterwards."""
    folder = deployment.repository("reviewed", SMALL)
    handle = await deployment.start_request("reviewed", folder, approve=["review"])
    status = await deployment.waiting(handle)
    assert status.state is RunState.WAITING_REVIEW
    assert status.reason == "waits for a person: the patch of only: 1 file, +1 -0"
    assert status.tasks[0].state is TaskState.REVIEW
    assert "waits for a person" in status.tasks[0].reason
    shown = await deployment.starter("status", handle.id)
    assert shown.returncode == 0
    assert "review/only/0" in shown.stdout
    await _signal(deployment, handle, "approve", status.approvals[0].id)
    ended = await deployment.delivered(handle)
    tree = git(folder, "rev-parse", f"{ended.branch}^{{tree}}")
    assert tree == status.approvals[0].digest


async def test_a_risky_patch_waits_for_a_person_without_requested_reviews(
    deployment: LocalDeployment,
) -> None:
    """A patch that touches authentication waits with its risk, and is not landed when rejected."""
    folder = deployment.repository("risky", SMALL)
    handle = await deployment.start_request("risky", folder)
    status = await deployment.waiting(handle)
    assert "touches authentication or secrets" in status.approvals[0].risk
    await _signal(deployment, handle, "reject", {"reason": "no logins", "by": "Ada"})
    ending = await deployment.ending(handle)
    assert ending.state is RunState.FAILED
    assert ending.reason == "only failed: rejected by Ada: no logins; 0 of 1 tasks done"


async def test_a_delivery_waits_for_a_person_and_does_not_happen_when_refused(
    deployment: LocalDeployment,
) -> None:
    """With `approve: delivery` the branch is made only after a yes."""
    folder = deployment.repository("shipped", SMALL)
    yes, no = [
        await deployment.start_request(f"shipped-{answer}", folder, approve=["delivery"])
        for answer in ("yes", "no")
    ]
    await deployment.waiting(yes)
    await deployment.waiting(no)
    assert git(folder, "branch", "--format=%(refname:short)") == "main"
    assert (await deployment.starter("approve", yes.id, "delivery")).returncode == 0
    assert (await deployment.starter("reject", no.id, "--reason", "not today")).returncode == 0
    delivered, refused = await deployment.delivered(yes), await deployment.ending(no)
    assert refused.state is RunState.FAILED
    assert "does not want it delivered: not today" in refused.reason
    assert "not today" in refused.reason
    branches = git(folder, "branch", "--format=%(refname:short)").split()
    assert branches == sorted(["main", str(delivered.branch)])


async def test_refused_answers_are_kept_and_shown(deployment: LocalDeployment) -> None:
    """The status shows unknown, unclear, unreadable, duplicate and misnamed answers, with why."""
    folder = deployment.repository("amiss", SMALL)
    handle = await deployment.start_request("amiss", folder, approve=["plan", "delivery"])
    await deployment.waiting(handle)
    await _signal(deployment, handle, "approve", {"approval": "no-such"})
    await _signal(deployment, handle, "approve", {"verdict": "fine"})
    await _signal(deployment, handle, "approve", 7)
    await _signal(deployment, handle, "aprove", {"approval": "plan"})
    await _signal(deployment, handle, "approve", {"approval": "plan", "by": "Ada"})
    await _signal(deployment, handle, "approve", {"approval": "plan"})
    await until(lambda: _waits_for_delivery(deployment, handle))
    refused = (await deployment.status(handle)).refused_answers
    waiting = 'Waiting: \'plan\' (a plan of 1 task). Answer with {"approval": "plan"}.'
    assert [record.problem for record in refused] == [
        f"Nothing called 'no-such' waits for an answer. {waiting}",
        f"The field 'verdict' is unknown; known are approval, digest, reason, by. {waiting}",
        f"An answer cannot be a value of type int. {waiting}",
        "there is no signal 'aprove': approve, reject, revise or note",
        "'plan' was already approved by Ada.",
    ]
    late = await deployment.starter("approve", handle.id, "plan")
    assert late.returncode == 2
    assert "'plan' was already approved by Ada." in late.stderr
    await _signal(deployment, handle, "approve", "delivery")
    await deployment.delivered(handle)
    gone = await deployment.starter("approve", handle.id)
    assert gone.returncode == 2
    assert "has ended" in gone.stderr


async def _waits_for_delivery(deployment: LocalDeployment, handle: Handle) -> bool:
    return [each.id for each in (await deployment.status(handle)).approvals] == ["delivery"]


async def test_a_note_reaches_the_agent_that_starts_later(deployment: LocalDeployment) -> None:
    """A note during planning is in the coder's opening; a note for an unknown task is refused."""
    folder = deployment.repository("noted", SMALL)
    handle = await deployment.start_request("noted", folder, approve=["plan"])
    await deployment.waiting(handle)
    assert (await deployment.starter("note", handle.id, "keep it short")).returncode == 0
    await _signal(deployment, handle, "note", {"text": "x", "task": "no-such"})
    await _signal(deployment, handle, "approve", True)
    status = await deployment.delivered(handle)
    assert status.refused_answers[0].problem == "There is no task 'no-such': only."


async def test_a_hostile_id_is_shown_escaped_and_its_cards_command_answers(
    deployment: LocalDeployment,
) -> None:
    """With escapes, a quote and a line end: list, status and watch write them out, and what the
    card says for a terminal can be pasted into one.
    """
    folder = deployment.repository("odd-id", SMALL)
    name = "odd-id\x1b[2J\u202e'; touch pasted; '\n"
    handle = await deployment.start_request(name, folder, approve=["plan"])
    await deployment.waiting(handle)
    shown = [await deployment.starter(*words) for words in (["list"], ["status", handle.id])]
    card = await deployment.temporal("workflow", "metadata", "-w", handle.id, "-o", "json")
    (metadata,) = json.loads(card.stdout)["queryResult"]
    said = metadata["currentDetails"]
    block = said.split("**Or in a terminal:**")[1].split("```")[1].removeprefix("text\n")
    approve = "temporal" + block.split("temporal")[1]
    environ = {**deployment.environ, "PATH": f"{Path(sys.executable).parent}:{os.defpath}"}
    pasted = subprocess.run(
        ["bash", "-c", approve],
        cwd=deployment.folder,
        env=environ,
        capture_output=True,
        check=False,
    )
    await deployment.delivered(handle)
    shown += [await deployment.starter(*words, handle.id) for words in (["watch"], ["status"])]

    assert pasted.returncode == 0, pasted.stderr
    assert visible(said) == said
    assert "odd-id\\u001b[2J\\u202e'; touch pasted; '\\n" in shown[0].stdout
    for each in shown:
        assert each.returncode == 0, each.stderr
        assert visible(each.stdout + each.stderr) == each.stdout + each.stderr
    assert not (deployment.folder / "pasted").exists()
