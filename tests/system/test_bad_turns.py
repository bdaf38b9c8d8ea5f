"""A model that makes mistakes in every turn still delivers what it meant."""

from tests.local_deployment import LocalDeployment, git
from tests.model_scripts import Task, approves, finish, plan_of, play, turn

WANTED = "one\nTWO\nthree\n"
ZERO = {"id": "call_0"}
PLAIN = Task(
    id="lines",
    writes=("lines.txt",),
    acceptance=("grep -qx TWO lines.txt",),
    coder=(
        turn(*[{"tool": "edit", "input": {"action": "create", "where": f"{n}"}} for n in range(6)]),
        turn({"tool": "view", "input": ["lines.txt"], **ZERO}),
        turn(
            {
                "tool": "Write",
                "input": {"file_path": "lines.txt", "content": "one\ntwo\nthree\n"},
                **ZERO,
            },
            stop="end_turn",
        ),
        turn(
            {
                "tool": "Edit",
                "input": {"file_path": "lines.txt", "old_string": "two", "new_string": "TWO"},
                **ZERO,
            },
            say=" \n",
        ),
        turn(
            {"tool": "Bash", "input": {"command": "cat lines.txt"}, **ZERO},
            {"tool": "Read", "input": {"file_path": "lines.txt"}, **ZERO},
            expect={"results": [{"is_error": False}]},
        ),
        turn(
            finish(summary=" "),
            expect={
                "results": [
                    {"is_error": False, "contains": "TWO"},
                    {"is_error": False, "contains": "2"},
                ]
            },
        ),
        turn(
            finish(summary="Three lines.", commit_title="Add lines"),
            fault=[{"kind": "empty_end_turn"}],
        ),
    ),
    reviewer=(
        turn({"tool": "Grep", "input": {"query": "TWO"}, **ZERO}, stop="end_turn"),
        approves(),
    ),
)
PLAYS = [
    play(
        "stumble",
        PLAIN,
        planner=[
            turn({"tool": "LS", "input": {"path": "."}}),
            turn({"tool": "finish", "input": {}}),
            plan_of([PLAIN]),
        ],
    )
]


async def test_a_request_of_bad_turns_ends_with_the_right_files(
    deployment: LocalDeployment,
) -> None:
    """Wrong names, ids that begin again, edits under `end_turn`, an input that is a list, blank
    texts and an empty reply cost a turn each: one round, and the file is as it was meant.
    """
    repository = deployment.repository("stumble", {"README.md": "A small thing.\n"})
    status = await deployment.delivered(
        await deployment.start_request("stumble", repository), seconds=240
    )

    assert git(repository, "show", f"{status.branch}:lines.txt") == WANTED.rstrip("\n")
    assert [(task.rounds, task.rounds_left) for task in status.tasks] == [(0, 2)]
    entries = deployment.journal("request/stumble")
    assert {entry.status for entry in entries} == {200}
