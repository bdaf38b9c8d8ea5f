"""`run --after`: a request that goes on from what another has delivered."""

from tests.local_deployment import LocalDeployment, git
from tests.model_scripts import play, writes_file

PLAYS = [
    play("go-first", writes_file("first", "first.txt", "1\n")),
    play("go-on", writes_file("second", "second.txt", "2\n")),
    play("go-nowhere", writes_file("third", "third.txt", "3\n")),
]
SMALL = {"README.md": "A small thing.\n"}


async def test_a_request_goes_on_from_a_delivered_branch(deployment: LocalDeployment) -> None:
    """Repository and base are the first one's; its work is below the second one's branch."""
    folder = deployment.repository("go-on", SMALL)
    first = await deployment.start_request("go-first", folder, branch="one")
    await deployment.delivered(first)
    ran = await deployment.starter("run", "--after", "go-first", "--branch", "two", "go on")
    assert ran.returncode == 0, ran
    assert git(folder, "diff", "--name-only", "one..two") == "second.txt"
    assert git(folder, "diff", "--name-only", "main..two").split() == ["first.txt", "second.txt"]


async def test_nothing_goes_on_from_a_request_without_a_branch(
    deployment: LocalDeployment,
) -> None:
    """An open request, and one that nobody knows, are refused; nothing is started."""
    folder = deployment.repository("go-nowhere", SMALL)
    handle = await deployment.start_request("go-nowhere", folder, approve=["plan"])
    await deployment.waiting(handle)
    refused = await deployment.starter("run", "--after", "go-nowhere", "more")
    assert refused.returncode == 2, refused
    assert "request/go-nowhere has delivered no branch (WAITING_APPROVAL)" in refused.stderr
    unknown = await deployment.starter("run", "--after", "go-elsewhere", "more")
    assert (unknown.returncode, "started" in unknown.stderr) == (2, False)
    await handle.cancel()
    await deployment.ending(handle)
