"""A setup in whole requests: it runs once, is asked where it has to be, and fails in words."""

import json

import pytest

from tests.local_deployment import LocalDeployment, git
from tests.model_scripts import Task, command, create, done, install, play, turn

pytestmark = [pytest.mark.minutes, pytest.mark.every_user]

INSTALLS = "mkdir -p node_modules/greet && echo hello > node_modules/greet/index.js"
CHECK = "grep -q hello node_modules/greet/index.js"


def _reads(name: str) -> Task:
    """Return a task whose agent, and whose acceptance command, need what is installed."""
    read = turn(command(CHECK), create(f"{name}.txt", "done\n"))
    return Task(id=name, coder=(read, done()), writes=(f"{name}.txt",), acceptance=(CHECK,))


COPIES = "mkdir -p vendored && cp third_party/* names vendored/"
"""Installs from a folder of the repository, as a project with vendored packages does."""
FINDS = "grep -q again vendored/names"
READ = "your commands and the checks find it from now on"


def _more(name: str, told: str) -> Task:
    """Return a task whose agent needs more than is installed, and asks for it."""
    results = [{"is_error": False}, {"is_error": False, "contains": [told]}]
    return Task(
        id=name,
        coder=(
            turn(command("echo hello again > names"), install("It says more.")),
            turn(command(FINDS), create(f"{name}.txt", "done\n"), expect={"results": results}),
            done(expect={"results": [{"is_error": False, "contains": ["exit code 0"]}, {}]}),
        ),
        writes=(f"{name}.txt", "names"),
        acceptance=(FINDS,),
    )


PLAYS = [
    play("asks-at-work", _more("one", READ)),
    play("asks-again", _more("one", "Nothing had to run")),
    play("set-up-first", _reads("one"), _reads("two")),
    play("set-up-again", _reads("one")),
    play("set-up-fails", _reads("one")),
]
FILES = {
    ".gitignore": "node_modules/\n",
    ".orchestcode/settings.json": json.dumps({"setup": [INSTALLS], "checks": [CHECK]}),
}


async def test_a_setup_is_allowed_once_and_serves_the_next_request(
    deployment: LocalDeployment,
) -> None:
    """The first asks and runs it, the second does neither; agents, checks and the final check of
    both find the result, and the person's folder has none of it.
    """
    folder = deployment.repository("set-up", FILES)
    first = await deployment.start_request("set-up-first", folder)
    asked = await deployment.waiting(first)
    assert asked.approvals[0].id == "setup"
    assert INSTALLS in asked.approvals[0].detail
    shown = await deployment.starter("status", "set-up-first")
    assert "approve set-up-first setup --digest" in shown.stdout
    answered = await deployment.starter("approve", "set-up-first", "setup")
    assert answered.returncode == 0, answered
    status = await deployment.delivered(first)
    assert any(note.startswith("The setup `mkdir") and "ran in" in note for note in status.notes)
    assert [each.passed for each in status.checks] == [True]

    again = await deployment.delivered(await deployment.start_request("set-up-again", folder))
    assert any("did not have to run" in note for note in again.notes)
    assert not (folder / "node_modules").exists()
    assert len(list((deployment.settings.layers).glob("*/layer.json"))) == 1


async def test_a_setup_that_fails_is_told_with_its_output_and_costs_nothing(
    deployment: LocalDeployment,
) -> None:
    """`run` ends with the command, its exit code and output, and what to do; no model was asked."""
    folder = deployment.repository("set-up-red", {"README.md": "A small thing.\n"})
    ran = await deployment.starter(
        *("run", "--repo", str(folder), "--setup", "echo no such package; exit 7", "set-up-fails")
    )
    assert ran.returncode == 1, ran
    said = ran.stdout + ran.stderr
    assert "the setup `echo no such package; exit 7` fails (exit code 7): no such package" in said
    assert "name other commands with --setup" in said
    assert "Setup:\n  exit 7  echo no such package; exit 7" in said
    assert "$0.00" in said
    assert not [each for each in deployment.journal() if "set-up-fails" in str(each)]


VENDORED = {
    ".gitignore": "vendored/\n",
    ".orchestcode/settings.json": json.dumps({"setup": [COPIES]}),
    "names": "hello\n",
    "third_party/hello": "a package\n",
}


async def test_an_agent_gets_dependencies_while_it_works(deployment: LocalDeployment) -> None:
    """It asks before it finishes, a person sees what runs, why and for which change; its next
    command, its checks and the merged tree find the result. Another request with the same files is
    not asked.
    """
    folder = deployment.repository("asks-at-work", VENDORED)
    handle = await deployment.start_request("asks-at-work", folder, setup=[COPIES])
    asked = await deployment.waiting(handle)
    (question,) = asked.approvals
    assert question.id.startswith("setup/one/")
    assert COPIES in question.detail
    assert "+hello again" in question.detail
    assert "It says more." in question.why
    answered = await deployment.starter("approve", "asks-at-work", question.id)
    assert answered.returncode == 0, answered
    status = await deployment.delivered(handle)
    assert git(folder, "show", f"{status.branch}:names") == "hello again"
    assert not [each for each in deployment.journal(handle.id) if each.unexpected]

    handle = await deployment.start_request("asks-again", folder, setup=[COPIES])
    await deployment.delivered(handle)
    assert not [each for each in deployment.journal(handle.id) if each.unexpected]
