"""What is too large for the store stays out of it; agent and person are told, the rest goes on."""

from tests.local_deployment import LocalDeployment, bytes_below, git
from tests.model_scripts import Task, command, done, play, turn

SENTENCE = "not part of the checkpoint, nor of the patch: big.bin (400 MB). One file may have 50 MB"
PLAYS = [
    play(
        "left-out",
        Task(
            id="big",
            coder=(
                turn(command("head -c 400000000 /dev/urandom > big.bin; echo kept > kept.txt")),
                done(expect={"results": [{"contains": [SENTENCE]}]}),
            ),
            writes=("big.bin", "kept.txt"),
        ),
    )
]


def _store_bytes(deployment: LocalDeployment) -> int:
    return bytes_below(deployment.settings.stores)


async def test_a_file_of_400_mb_is_in_no_store_and_said_to_agent_and_person(
    deployment: LocalDeployment,
) -> None:
    """The agent reads it with its command; status, report and card name the file."""
    before = _store_bytes(deployment)
    repository = deployment.repository("left-out", {"README.md": "A small thing.\n"})
    handle = await deployment.start_request("left-out", repository)
    status = await deployment.delivered(handle)
    shown = await deployment.starter("status", "left-out")
    card = await deployment.temporal("workflow", "metadata", "-w", handle.id)

    assert status.tasks[0].left_out == "too large: big.bin (400 MB)"
    assert "Left out of what is kept: big: too large: big.bin (400 MB)" in shown.stdout
    assert "left out of what is kept: too large: big.bin (400 MB)" in card.stdout
    assert _store_bytes(deployment) - before < 10_000_000
    assert git(repository, "ls-tree", "--name-only", str(status.branch)).split() == [
        "README.md",
        "kept.txt",
    ]
