"""Patches that do not go together: sent back with what is wrong, landed at the second try."""

from contracts.approvals import Answer
from contracts.task import TaskState
from tests.local_deployment import Handle, LocalDeployment, git, until
from tests.model_scripts import Task, command, create, done, finish, play, replace, turn, view

SUM = 'test $(($(cat left.txt) + $(cat right.txt))) -le 1 || { echo "too much at once"; false; }'
NUMBERS = {"left.txt": "0\n", "right.txt": "0\n"}
APPROVAL = {"verdict": "approve", "summary": "It does what was asked.", "findings": []}
SHARED = {"shared.txt": "one\nold\nthree\n", "left.txt": "", "right.txt": ""}
ON_TOP = "Your patch passes alone but fails on top of what landed meanwhile: "
CONFLICT = "Your patch conflicts with work that landed meanwhile."
LOST = [
    "has lost lines that your patch had when the merge queue sent it back",
    "shared.txt has lost 1 line of this task's own earlier patch:",
    "- the second side",
    "second.txt has lost 1 line of this task's own earlier patch:",
    "- second",
]
LABEL = "`<<<<<<< landed by left` begins what landed"


def _number(side: str) -> Task:
    """Return a task that is right alone and wrong together with the one of the other side."""
    return Task(
        id=side,
        writes=(f"{side}.txt",),
        coder=(
            turn(view(f"{side}.txt")),
            turn(replace(f"{side}.txt", "0", "1")),
            done(),
            turn(
                command(f"echo 00 > {side}.txt"),
                expect={"last_user_contains": [ON_TOP, "too much at once"]},
            ),
            done(),
        ),
    )


def _line(side: str) -> Task:
    """Return a task that also changes a line which it did not declare."""
    return Task(
        id=side,
        writes=(f"{side}.txt",),
        coder=(
            turn(command(f"echo {side} > {side}.txt; sed -i 's/old/the {side} side/' shared.txt")),
            done(),
            turn(
                command("printf 'one\\nthe left side and the right side\\nthree\\n' > shared.txt"),
                expect={"last_user_contains": [CONFLICT, "- shared.txt: both changed", LABEL]},
            ),
            done(),
        ),
    )


YIELDS = Task(
    id="second",
    writes=("second.txt",),
    coder=(
        *_line("second").coder[:2],
        turn(command("git checkout -q HEAD -- . && git clean -fdq && cat shared.txt")),
        done(expect={"results": [{"is_error": False, "contains": "the first side"}]}),
        turn(
            finish(summary="It is said.", undoes="first says it", no_change="It is said."),
            expect={"last_user_contains": LOST},
        ),
    ),
)
SECOND_REVIEW = {
    "match": {"role": "reviewer", "task": "second", "attempt": 3, "request": "request/yield*"},
    "turns": [
        turn(
            finish(**APPROVAL),
            expect={"last_user_contains": ["Work that it undoes", *LOST[1:], "first says it"]},
        )
    ],
}


PLAYS = [
    [SECOND_REVIEW, *play("yield", _line("first"), YIELDS)],
    play("together", _number("left"), _number("right")),
    play("conflict", _line("left"), _line("right")),
    play(
        "serial",
        Task(id="a", writes=("same.txt",), coder=(turn(create("same.txt", "a\n")), done())),
        Task(
            id="b",
            writes=("same.txt",),
            coder=(
                turn(view("same.txt")),
                turn(replace("same.txt", "a", "b")),
                done(),
                turn(
                    finish(summary="It is b.", undoes="b takes the place of a"),
                    expect={"last_user_contains": ["same.txt loses 1 line of a:", "- a"]},
                ),
            ),
            reviewer=(turn(finish(**APPROVAL, undoing="The task asks for b.")),),
        ),
    ),
]


async def test_patches_that_fail_together_are_sent_back_and_land_in_the_second_round(
    deployment: LocalDeployment,
) -> None:
    """One of two patches that pass alone is sent back with the failing output; both land."""
    folder = deployment.repository("together", NUMBERS)
    handle = await deployment.start_request("together", folder, checks=[SUM])
    status = await deployment.delivered(handle)
    assert sorted(task.rounds for task in status.tasks) == [0, 1]
    kept = {git(folder, "show", f"{status.branch}:{side}.txt") for side in ("left", "right")}
    assert kept == {"1", "00"}


async def test_a_conflict_is_sent_back_with_markers_and_lands_when_resolved(
    deployment: LocalDeployment,
) -> None:
    """The second agent finds both versions in its worktree and lands its resolution."""
    folder = deployment.repository("conflict", SHARED)
    handle = await deployment.start_request("conflict", folder, approve=["review"])
    await deployment.waiting(handle, count=2)
    await handle.signal("approve", Answer(approval="review/left/0"))
    await until(lambda: _is_done(deployment, handle, "left"))
    await handle.signal("approve", Answer(approval="review/right/0"))

    await until(lambda: _is_asked(deployment, handle, "review/right/1"))
    await handle.signal("approve")
    status = await deployment.delivered(handle)
    shown = git(folder, "show", f"{status.branch}:shared.txt")
    assert shown.splitlines() == ["one", "the left side and the right side", "three"]
    assert {task.id: task.rounds for task in status.tasks} == {"left": 0, "right": 1}


async def test_an_own_side_given_up_in_a_conflict_is_told_to_everyone(
    deployment: LocalDeployment,
) -> None:
    """A task whose first patch meets a conflict and that keeps what landed for everything is told
    each line of its own that is gone; so is its reviewer, and, since that one gives no reason, the
    person.
    """
    folder = deployment.repository("yield", {"shared.txt": SHARED["shared.txt"]})
    handle = await deployment.start_request("yield", folder, approve=["review"])
    await deployment.waiting(handle, count=2)
    await handle.signal("approve", Answer(approval="review/first/0"))
    await until(lambda: _is_done(deployment, handle, "first"))
    await handle.signal("approve", Answer(approval="review/second/0"))
    await until(lambda: _is_asked(deployment, handle, "review/second/2"))
    (asked,) = (await deployment.status(handle)).approvals
    await handle.signal("approve")
    status = await deployment.delivered(handle)

    assert [line for line in LOST[1:] if line not in asked.detail] == []
    assert asked.why.startswith("The change undoes work: ")
    assert {entry.status for entry in deployment.journal(handle.id)} == {200}
    assert {task.id: task.no_change for task in status.tasks} == {
        "first": "",
        "second": "It is said.",
    }


async def _is_done(deployment: LocalDeployment, handle: Handle, task: str) -> bool:
    status = await deployment.status(handle)
    return {each.id: each.state for each in status.tasks}[task] is TaskState.DONE


async def _is_asked(deployment: LocalDeployment, handle: Handle, approval: str) -> bool:
    return [each.id for each in (await deployment.status(handle)).approvals] == [approval]


async def test_tasks_that_write_one_path_run_in_sequence(
    deployment: LocalDeployment,
) -> None:
    """A common path becomes an edge that the status shows; the second builds on the first.

    That it takes the place of what the first landed is told to its agent, and both it and the
    reviewer say why.
    """
    folder = deployment.repository("serial", {"README.md": "x\n"})
    status = await deployment.delivered(await deployment.start_request("serial", folder))
    assert [(edge.before, edge.after) for edge in status.edges_added] == [("a", "b")]
    assert git(folder, "show", f"{status.branch}:same.txt") == "b"
