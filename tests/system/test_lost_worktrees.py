"""Worktrees that are deleted under a running request: they hold nothing that is not stored
elsewhere.
"""

import shutil

from tests import journal_checks
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


async def test_deleted_worktrees_lose_no_finished_work(deployment: LocalDeployment) -> None:
    """All worktrees are deleted while a command runs in one: the agent continues in another one
    from its last checkpoint, no model call is repeated, and the request is delivered.
    """
    repository = deployment.repository("lost-worktrees", SMALL)
    handle = await deployment.start_request("deleted-worktrees", repository)
    await until(lambda: any(MARK in line for line in deployment.processes().values()))
    shutil.rmtree(deployment.settings.worktrees, ignore_errors=True)

    status = await deployment.delivered(handle)

    assert git(repository, "show", f"{status.branch}:a.txt") == "two"
    assert journal_checks.repeated(deployment.journal(handle.id)) == []
    assert [lease for lease in deployment.leases() if handle.id in lease] == []
