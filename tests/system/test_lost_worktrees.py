"""
Worktrees that somebody deletes under a running request: they hold nothing that is not elsewhere.
"""

import shutil

from rehearsal import journal
from tests.local_deployment import LocalDeployment, git, until
from tests.model_scripts import Task, command, create, done, play, replace, turn, view

SMALL = {"README.md": "A small thing.\n"}
MARK = "sleep 7481"
TASK = Task(
    id="a",
    coder=(
        turn(create("a.txt", "one\n")),
        turn(command(f"{MARK} & sleep 2; kill $!", timeout_seconds=60)),
        turn(view("a.txt")),
        turn(replace("a.txt", "one", "two")),
        done(),
    ),
    writes=("a.txt",),
)
PLAYS = (play("deleted-worktrees", TASK),)


async def test_deleted_worktrees_cost_nothing_that_is_finished(stage: LocalDeployment) -> None:
    """
    The folder of all worktrees is deleted while a command runs in one: the agent goes on in another
    one from its last checkpoint, no model call is repeated, and the request is delivered.
    """
    repository = stage.repository("lost-worktrees", SMALL)
    handle = await stage.start_request("deleted-worktrees", repository)
    await until(lambda: any(MARK in line for line in stage.processes().values()))
    shutil.rmtree(stage.settings.worktrees, ignore_errors=True)

    status = await stage.delivered(handle)

    assert git(repository, "show", f"{status.branch}:a.txt") == "two"
    assert journal.repeated(stage.journal(handle.id)) == []
    assert [lease for lease in stage.leases() if handle.id in lease] == []
