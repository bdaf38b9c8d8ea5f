"""
People in the loop: answers by the plain `temporal` CLI, by `starter.py`, and those that come amiss.
"""

import json

from contracts.task import TaskState
from contracts.visibility import RunState
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
]


async def _signal(stage: LocalDeployment, handle: Handle, name: str, payload: object) -> None:
    words = ["workflow", "signal", "--workflow-id", handle.id, "--name", name]
    ended = await stage.temporal(*words, "--input", json.dumps(payload))
    assert ended.returncode == 0, ended.stderr


async def test_a_request_by_the_temporal_cli_alone_is_found_approved_and_delivered(
    stage: LocalDeployment,
) -> None:
    """
    Started, found among what waits, approved by signal: all with the plain CLI and little input.
    """
    folder = stage.repository("by-hand", SMALL)
    payload = {"repository": str(folder), "request": "by hand", "approve": ["plan"]}
    words = ["workflow", "start", "--type", "RequestWorkflow", "--task-queue", "orchestcode"]
    words += ["--workflow-id", "request/by-hand", "--input", json.dumps(payload)]
    started = await stage.temporal(*words)
    assert started.returncode == 0, started.stderr
    handle = await stage.handle("by-hand")
    status = await stage.waiting(handle)
    assert (status.state, status.reason) == (
        RunState.WAITING_APPROVAL,
        "waits for a person: a plan of 1 task",
    )
    await until(lambda: _listed(stage, handle))
    await _signal(stage, handle, "approve", {"approval": "plan"})
    ended = await stage.delivered(handle)
    assert git(folder, "show", f"{ended.branch}:hand.txt") == "by hand"


async def _listed(stage: LocalDeployment, handle: Handle) -> bool:
    """Say whether the CLI finds the request among those that wait."""
    query = 'OcState="WAITING_APPROVAL" AND OcPendingApprovals=1'
    ended = await stage.temporal("workflow", "list", "--query", query, "-o", "json")
    return handle.id in ended.stdout


async def test_a_rejected_plan_ends_the_request_with_the_persons_reason(
    stage: LocalDeployment,
) -> None:
    """After a rejection the request has FAILED, says who and why, and nothing was delivered."""
    folder = stage.repository("rejected", SMALL)
    handle = await stage.start_request("rejected", folder, approve=["plan"])
    await stage.waiting(handle)
    ended = await stage.starter("reject", handle.id, "--reason", "far too big")
    assert ended.returncode == 0, ended.stderr
    ending = await stage.ending(handle)
    assert ending.state is RunState.FAILED
    assert ending.reason.startswith("the plan was rejected by ")
    assert ending.reason.endswith(": far too big")
    assert git(folder, "branch", "--format=%(refname:short)") == "main"
    assert (await stage.starter("watch", handle.id)).returncode == 1


async def test_a_plan_sent_back_comes_again_with_the_feedback_heard(stage: LocalDeployment) -> None:
    """The planner hears the feedback, and the new plan waits for a new answer."""
    folder = stage.repository("revised", SMALL)
    handle = await stage.start_request("revised", folder, approve=["plan"])
    first = (await stage.waiting(handle)).approvals[0]
    await _signal(stage, handle, "revise", {"approval": "plan", "reason": "add the second"})

    async def another() -> bool:
        pending = (await stage.status(handle)).approvals
        return bool(pending) and pending[0].digest != first.digest

    await until(another)
    await _signal(stage, handle, "approve", {"approval": "plan", "digest": first.digest})
    ended = await stage.starter("approve", handle.id)
    assert ended.returncode == 0, ended.stderr
    status = await stage.delivered(handle)
    assert [task.id for task in status.tasks] == ["first", "second"]
    assert "has changed since you looked at it" in status.refused_answers[0].problem


async def test_a_review_waits_for_a_person_and_lands_once_approved(stage: LocalDeployment) -> None:
    """With `approve: review` the patch waits, `status` says so and exactly it lands afterwards."""
    folder = stage.repository("reviewed", SMALL)
    handle = await stage.start_request("reviewed", folder, approve=["review"])
    status = await stage.waiting(handle)
    assert status.state is RunState.WAITING_REVIEW
    assert status.reason == "waits for a person: the patch of only: 1 file, +1 -0"
    assert status.tasks[0].state is TaskState.REVIEW
    assert "waits for a person" in status.tasks[0].reason
    shown = await stage.starter("status", handle.id)
    assert shown.returncode == 0
    assert "review/only/0" in shown.stdout
    await _signal(stage, handle, "approve", status.approvals[0].id)
    ended = await stage.delivered(handle)
    tree = git(folder, "rev-parse", f"{ended.branch}^{{tree}}")
    assert tree == status.approvals[0].digest


async def test_a_risky_patch_waits_for_a_person_though_nobody_asked_for_reviews(
    stage: LocalDeployment,
) -> None:
    """A patch that touches authentication waits with its risk, and is not landed when rejected."""
    folder = stage.repository("risky", SMALL)
    handle = await stage.start_request("risky", folder)
    status = await stage.waiting(handle)
    assert "touches authentication or secrets" in status.approvals[0].risk
    await _signal(stage, handle, "reject", {"reason": "no logins", "by": "Ada"})
    ending = await stage.ending(handle)
    assert ending.state is RunState.FAILED
    assert ending.reason == "0 of 1 tasks done; only failed: rejected by Ada: no logins"


async def test_the_delivery_waits_for_a_person_and_is_left_out_when_refused(
    stage: LocalDeployment,
) -> None:
    """With `approve: delivery` the branch is made only after a yes."""
    folder = stage.repository("shipped", SMALL)
    yes, no = [
        await stage.start_request(f"shipped-{answer}", folder, approve=["delivery"])
        for answer in ("yes", "no")
    ]
    await stage.waiting(yes)
    await stage.waiting(no)
    assert git(folder, "branch", "--format=%(refname:short)") == "main"
    assert (await stage.starter("approve", yes.id, "delivery")).returncode == 0
    assert (await stage.starter("reject", no.id, "--reason", "not today")).returncode == 0
    delivered, refused = await stage.delivered(yes), await stage.ending(no)
    assert refused.state is RunState.FAILED
    assert "not delivered" in refused.reason
    assert "not today" in refused.reason
    branches = git(folder, "branch", "--format=%(refname:short)").split()
    assert branches == sorted(["main", str(delivered.branch)])


async def test_answers_that_come_amiss_are_kept_and_shown(stage: LocalDeployment) -> None:
    """
    Unknown, unclear, unreadable, duplicate and misnamed answers stand in the status, each with why.
    """
    folder = stage.repository("amiss", SMALL)
    handle = await stage.start_request("amiss", folder, approve=["plan", "delivery"])
    await stage.waiting(handle)
    await _signal(stage, handle, "approve", {"approval": "no-such"})
    await _signal(stage, handle, "approve", {"verdict": "fine"})
    await _signal(stage, handle, "approve", 7)
    await _signal(stage, handle, "aprove", {"approval": "plan"})
    await _signal(stage, handle, "approve", {"approval": "plan", "by": "Ada"})
    await _signal(stage, handle, "approve", {"approval": "plan"})
    await until(lambda: _waits_for_delivery(stage, handle))
    refused = (await stage.status(handle)).refused_answers
    waiting = 'Waiting: \'plan\' (a plan of 1 task). Answer with {"approval": "plan"}.'
    assert [record.problem for record in refused] == [
        f"Nothing called 'no-such' waits for an answer. {waiting}",
        f"The field 'verdict' is unknown; known are approval, digest, reason, by. {waiting}",
        f"An answer cannot be a value of type int. {waiting}",
        "there is no signal 'aprove': send approve, reject, revise or note",
        "'plan' was already approved by Ada.",
    ]
    late = await stage.starter("approve", handle.id, "plan")
    assert late.returncode == 2
    assert "'plan' was already approved by Ada." in late.stderr
    await _signal(stage, handle, "approve", "delivery")
    await stage.delivered(handle)
    gone = await stage.starter("approve", handle.id)
    assert gone.returncode == 2
    assert "has ended" in gone.stderr


async def _waits_for_delivery(stage: LocalDeployment, handle: Handle) -> bool:
    return [each.id for each in (await stage.status(handle)).approvals] == ["delivery"]


async def test_a_note_reaches_the_agent_that_starts_later(stage: LocalDeployment) -> None:
    """
    A note given while the plan waits is in the coder's opening, and a note for nobody is refused.
    """
    folder = stage.repository("noted", SMALL)
    handle = await stage.start_request("noted", folder, approve=["plan"])
    await stage.waiting(handle)
    assert (await stage.starter("note", handle.id, "keep it short")).returncode == 0
    await _signal(stage, handle, "note", {"text": "x", "task": "no-such"})
    await _signal(stage, handle, "approve", True)
    status = await stage.delivered(handle)
    assert status.refused_answers[0].problem == "There is no task 'no-such': only."
