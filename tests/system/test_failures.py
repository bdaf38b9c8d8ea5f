"""What goes wrong in a task stays in the task; what is cancelled leaves nothing."""

from pathlib import Path

from contracts.task import TaskState
from contracts.visibility import RunState
from tests.local_deployment import LocalDeployment, git, until
from tests.model_scripts import Task, command, create, done, play, turn, writes_file

SMALL = {"README.md": "A small thing.\n"}
GIVES_UP = {"say": "I cannot do it.", "stop": "end_turn"}
PLAYS = [
    play(
        "partly",
        writes_file("fine", "fine.txt", "fine\n"),
        Task(id="silent", coder=[GIVES_UP] * 5, writes=("silent.txt",)),
        Task(
            id="red",
            coder=(turn(create("red.txt", "red\n")), *[done("It is fine now.")] * 5),
            writes=("red.txt",),
            acceptance=("echo so it is; false",),
        ),
        writes_file("after-red", "after.txt", "x\n", depends_on=("red",)),
        writes_file("last", "last.txt", "x\n", depends_on=("after-red",)),
    ),
    play("lost", Task(id="silent", coder=[GIVES_UP] * 5, writes=("silent.txt",))),
    play(
        "slow",
        Task(
            id="hangs",
            coder=(
                turn(command("echo begun; sleep 7171 & sleep 7171", timeout_seconds=1)),
                turn(
                    create("slow.txt", "slow\n"),
                    expect={"results": [{"is_error": True, "contains": ["begun", "timed out"]}]},
                ),
                done(),
            ),
            writes=("slow.txt",),
        ),
    ),
    play(
        "cancel",
        Task(
            id="hangs",
            coder=(
                turn(create("half.txt", "half\n")),
                turn(command("sleep 7272", timeout_seconds=600)),
            ),
            writes=("half.txt",),
        ),
        Task(
            id="thinks",
            coder=(turn(create("x.txt", "x\n"), delay_ms=60_000),),
            writes=("x.txt",),
        ),
    ),
]


def _running(command_line: str) -> bool:
    """Return whether a process with this text in its command line lives on this machine."""
    wanted = command_line.encode().replace(b" ", b"\0")
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if wanted in file.read_bytes():
                return True
        except OSError:
            continue
    return False


async def test_a_failed_task_fails_only_itself_and_blocks_what_needs_it(
    deployment: LocalDeployment,
) -> None:
    """The rest is delivered; each lost task shows why, and `run` ends with code 1."""
    folder = deployment.repository("partly", SMALL)
    run = await deployment.starter(
        "run", "--repo", str(folder), "partly lost", "--branch", "partly"
    )
    assert run.returncode == 1, run
    assert git(folder, "diff", "--name-only", "main..partly") == "fine.txt"
    request = run.stderr.split("started ")[1].split()[0]
    ending = await deployment.ending(await deployment.handle(request.removeprefix("request/")))
    assert ending.status is not None
    tasks = {task.id: task for task in ending.status.tasks}
    assert {name: task.state for name, task in tasks.items()} == {
        "fine": TaskState.DONE,
        "silent": TaskState.FAILED,
        "red": TaskState.FAILED,
        "after-red": TaskState.BLOCKED,
        "last": TaskState.BLOCKED,
    }
    silent = tasks["silent"].reason
    assert silent.startswith("the agent was cut: ")
    assert silent.endswith("(stopped without finishing); it had changed nothing")
    assert tasks["red"].reason.endswith("; given up after 3 rounds (checks)")
    assert "echo so it is; false" in tasks["red"].reason
    assert tasks["after-red"].reason.startswith("waits for 'red', which failed: `echo so it is")
    assert tasks["last"].reason.startswith(
        "waits for 'after-red', which cannot start because 'red' failed: `echo so it is"
    )
    assert tasks["red"].kept.startswith("git -C ")
    assert "; 1 of 5 tasks done; " in ending.status.reason


async def test_a_request_of_which_nothing_lands_delivers_nothing(
    deployment: LocalDeployment,
) -> None:
    """When every task is lost there is no branch, and the reason names the task."""
    folder = deployment.repository("lost", SMALL)
    ending = await deployment.ending(await deployment.start_request("lost", folder))
    assert ending.state is RunState.FAILED
    assert ending.reason.startswith("silent failed: the agent was cut")
    assert git(folder, "branch", "--format=%(refname:short)") == "main"
    assert deployment.left_behind() == []


async def test_a_command_past_its_time_limit_runs_once_and_is_a_tool_result(
    deployment: LocalDeployment,
) -> None:
    """The model sees the output and the timeout; all processes of the command are gone."""
    folder = deployment.repository("slow", SMALL)
    handle = await deployment.start_request("slow", folder)
    await deployment.delivered(handle)
    turns = [entry.turn for entry in deployment.journal(handle.id) if entry.role == "coder"]
    assert turns == [0, 1, 2]
    assert not _running("sleep 7171")


async def test_a_cancelled_request_leaves_nothing(deployment: LocalDeployment) -> None:
    """Cancelled during a command and a model call: no lease, process or branch is left."""
    folder = deployment.repository("cancel", SMALL)
    handle = await deployment.start_request("cancel", folder)
    await until(lambda: _running("sleep 7272"))
    assert deployment.leases() != []
    cancelled = await deployment.starter("cancel", handle.id)
    assert cancelled.returncode == 0, cancelled
    ending = await deployment.ending(handle)
    assert ending.state is RunState.CANCELLED
    assert deployment.left_behind() == []
    await until(lambda: not _running("sleep 7272"), seconds=15)
    assert git(folder, "branch", "--format=%(refname:short)") == "main"
    watched = await deployment.starter("watch", handle.id)
    assert watched.returncode == 1
    assert "cancelled" in watched.stdout.lower()
