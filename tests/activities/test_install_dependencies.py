"""An agent gets dependencies while it works: once, by its files' content, with a person's yes."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from contracts.repository import Environment
from contracts.setup import RunSetup, SetupOrigin, SetupReport, WantedSetup
from contracts.tools import ToolOutcome
from tests.activities.test_installed import written
from tests.activities.test_setup import counting
from tests.infra.bench import ActivityEnv, Agent, Job
from tests.local_deployment import commit

LOCK = "greet 1\n"
NPM = """#!/bin/bash
# Does what a package manager does, without a registry.
set -e
case "$*" in
    ci) mkdir -p node_modules/all; cp package-lock.json node_modules/all/names ;;
    "install --package-lock-only") grep -o '[a-z]* [0-9]' package.json > package-lock.json ;;
    "install nothing") echo "no such package" >&2; exit 4 ;;
    "install "*)
        echo "$2 1" >> package-lock.json
        echo "{ $2 }" >> package.json
        mkdir -p node_modules; echo stray > README.md ;;
    *) exit 9 ;;
esac
"""
SHOW = "cat node_modules/all/names"


@pytest.fixture
def npm(env: ActivityEnv) -> Environment:
    """A project with a lock file, and a PATH with a package manager."""
    written(
        env.person,
        {
            ".gitignore": "node_modules/\n",
            "README.md": "A shop.\n",
            "package.json": "greet 1\n",
            "package-lock.json": '"node_modules/" greet 1\n',
        },
    )
    commit(env.person, "a package")
    written(env.shown, {"bin/npm": NPM})
    (env.shown / "bin/npm").chmod(0o755)
    return Environment(path=f"{env.shown / 'bin'}:/usr/bin:/bin")


async def begun(env: ActivityEnv, npm: Environment) -> tuple[Job, Agent]:
    """Return a request whose base is installed, and an agent of it."""
    job = await env.open(environment=npm)
    assert job.opened.setup is not None
    request = RunSetup(
        repository=job.opened.repository, commit=job.base, setup=job.opened.setup, allowed=True
    )
    report: SetupReport = await ActivityEnvironment().run(env.setups.run_setup, request)
    assert report.environment
    place = job.opened.repository.model_copy(update={"environment": report.environment})
    job.opened = job.opened.model_copy(update={"repository": place})
    return job, await job.agent()


async def said(agent: Agent, line: str) -> str:
    """Return what a command of an agent prints."""
    return (await agent.run(line)).text.removesuffix("\n[exit code 0]")


# ---- what comes of it


@pytest.mark.every_user
async def test_an_agent_that_changed_the_lock_file_finds_what_it_names(
    env: ActivityEnv, npm: Environment
) -> None:
    """A person sees the command, the diff and the reason; from the next command on its worktree,
    its checks and later tasks with the same lock file have the result, others what they had.
    """
    job, agent = await begun(env, npm)
    await agent.edit("str_replace", "package-lock.json", old_str="greet", new_str="bow")
    assert "install_dependencies has the setup run for it" in await said(agent, SHOW)
    told = await agent.install(reason="It bows.")

    (asked,) = agent.asked
    assert (asked.ask, asked.update, asked.rule.commands) == (True, "", ("npm ci",))
    assert asked.because == "its agent says: It bows."
    assert '+"node_modules/" bow 1' in asked.diff
    assert told.outcome == "done"
    assert told.text.startswith("$ npm ci\n")
    assert "your commands and the checks find it from now on" in told.text
    assert await said(agent, SHOW) == '"node_modules/" bow 1'
    assert (await job.check(agent.at, f"{SHOW} | grep bow")).passed
    assert (await job.check(job.base, f"{SHOW} | grep greet")).passed
    assert (await job.patch(agent.at)).setup is None
    assert await said(await job.agent("later", agent.at), SHOW) == '"node_modules/" bow 1'


async def test_a_command_of_the_package_manager_changes_the_lock_file_of_the_worktree(
    env: ActivityEnv, npm: Environment
) -> None:
    """Manifest and lock file are part of the agent's next checkpoint, what else the command wrote
    is not; the setup then runs on exactly what it wrote.
    """
    job, agent = await begun(env, npm)
    told = await agent.install(command="npm install bow")

    (asked,) = agent.asked
    assert asked.update == "npm install bow"
    assert "$ npm install bow\n" in told.text
    assert "$ npm ci\n" in told.text
    assert "[changed: package-lock.json, package.json]" in told.text
    assert "The update changed README.md: not kept." in told.text
    assert await said(agent, f"tail -1 package-lock.json; {SHOW} | tail -1") == "bow 1\nbow 1"
    files = await agent.files()
    assert files["package.json"] == b"greet 1\n{ bow }\n"
    assert files["README.md"] == b"A shop.\n"
    patch = await job.patch(agent.at)
    assert (patch.setup, patch.files) == (None, 2)


async def test_what_an_agent_has_beside_its_checkpoint_stays(
    env: ActivityEnv, npm: Environment
) -> None:
    """Its /tmp, its HOME and files that git ignores, while it waits and after."""
    written(env.person, {".gitignore": "node_modules/\n*.log\n"})
    commit(env.person, "logs")
    _, agent = await begun(env, npm)
    await agent.run("echo kept | tee /tmp/a ~/b > own.log")
    show = "cat /tmp/a ~/b own.log"
    call = await agent.call("install_dependencies", reason="r", command="npm install bow")
    assert (await agent.make(call)).setup is not None
    assert await said(agent, show) == "kept\nkept\nkept"
    await agent.install(command="npm install bow")
    assert await said(agent, show) == "kept\nkept\nkept"


async def test_a_changed_manifest_brings_its_lock_file_in_line(
    env: ActivityEnv, npm: Environment
) -> None:
    """Without a command of the agent's; a person sees which one runs."""
    _, agent = await begun(env, npm)
    await agent.edit("str_replace", "package.json", old_str="greet 1", new_str="greet 1 bow 2")
    told = await agent.install()

    (asked,) = agent.asked
    assert asked.update == "npm install --package-lock-only"
    assert "+greet 1 bow 2" in asked.diff
    assert told.outcome == "done"
    assert await said(agent, SHOW) == "greet 1\nbow 2"


# ---- once


async def test_what_is_installed_is_neither_asked_nor_run_again(
    env: ActivityEnv, npm: Environment
) -> None:
    """For the lock file of the base, one that another agent had installed, and a later request
    whose base has it.
    """
    job, agent = await begun(env, npm)
    told = await agent.install()
    assert (told.outcome, agent.asked) == ("done", [])
    assert told.text.startswith("Nothing had to run: what package-lock.json names is installed.")
    await agent.install(command="npm install bow")
    other = await job.agent("b", agent.at)
    assert (await other.install()).text.startswith("Nothing had to run")
    assert other.asked == []

    lock = (await agent.files())["package-lock.json"].decode()
    written(env.person, {"package-lock.json": lock})
    commit(env.person, "the new lock file")
    later = await env.open(request="request/two", branch="two", environment=npm)
    assert later.opened.setup is not None
    assert (later.opened.setup.ask, later.opened.setup.installed) == (False, True)


async def test_a_repeated_call_runs_nothing_again(env: ActivityEnv, npm: Environment) -> None:
    """Neither its setup, when only the acknowledgement was lost, nor the call itself."""
    with counting() as counted:
        written(env.shown, {"bin/npm": NPM.replace("set -e", f"set -e\n{counted.line}")})
        job, agent = await begun(env, npm)
        assert counted.runs == 1
        call = await agent.call("install_dependencies", reason="r", command="npm install bow")
        first = await agent.make(call)
        assert first.setup is not None
        reports = [await agent.set_up(first.setup) for _ in range(2)]
        assert reports[0] == reports[1]
        results = [await agent.make(call) for _ in range(2)]
        assert results[0] == results[1]
        assert counted.runs == 3  # the update, and the setup of what it wrote
    assert results[0].checkpoint not in {None, job.base}


async def test_two_tasks_that_ask_for_the_same_at_once_have_one_setup(
    env: ActivityEnv, npm: Environment
) -> None:
    """The other waits for it and finds the result."""
    with counting() as counted:
        line = f"ci) {counted.line}; sleep 1;"
        written(env.shown, {"bin/npm": NPM.replace("ci)", line)})
        job, one = await begun(env, npm)
        other = await job.agent("b")
        for each in (one, other):
            await each.edit("str_replace", "package-lock.json", old_str="greet", new_str="bow")
        before = counted.runs
        told = await asyncio.gather(one.install(), other.install())
        assert counted.runs - before == 1
    assert {each.outcome for each in told} == {"done"}
    assert await said(one, SHOW) == await said(other, SHOW) == '"node_modules/" bow 1'


async def test_what_another_task_has_had_installed_is_taken_over_whatever_else_was_changed(
    env: ActivityEnv, npm: Environment
) -> None:
    """Neither asked nor run again in the request: the agent's own files are not even read."""
    with counting() as counted:
        written(env.shown, {"bin/npm": NPM.replace("set -e", f"set -e\n{counted.line}")})
        job, one = await begun(env, npm)
        await one.install(command="npm install bow")
        before = counted.runs
        other = await job.agent("b")
        await other.edit("create", "own.js", file_text="x\n")
        told = await other.install(command="npm install bow")
        assert counted.runs == before
    assert (told.outcome, other.asked) == ("done", [])
    assert "[changed: package-lock.json, package.json]" in told.text
    files = await other.files()
    assert (files["package.json"], files["own.js"]) == (b"greet 1\n{ bow }\n", b"x\n")
    assert await said(other, f"{SHOW} | tail -1") == "bow 1"


async def test_other_manifests_or_commands_are_asked_by_themselves(
    env: ActivityEnv, npm: Environment
) -> None:
    """What another task has had installed counts for exactly its command and files."""
    job, one = await begun(env, npm)
    await one.install(command="npm install bow")
    other = await job.agent("b")
    await other.install(command="npm install tie")
    third = await job.agent("c")
    await third.edit("str_replace", "package.json", old_str="greet", new_str="hello")
    await third.install(command="npm install bow")
    assert [each.ask for each in (*other.asked, *third.asked)] == [True, True]


async def test_tasks_with_other_changes_that_wait_for_one_answer_have_one_setup(
    env: ActivityEnv, npm: Environment
) -> None:
    """On the files that the person saw: those of the task that asked first."""
    with counting() as counted:
        line = f"set -e\n{counted.line}; sleep 0.3"
        written(env.shown, {"bin/npm": NPM.replace("set -e", line)})
        job, one = await begun(env, npm)
        other = await job.agent("b")
        await other.edit("create", "own.js", file_text="x\n")
        calls = [
            await each.call("install_dependencies", reason="r", command="npm install bow")
            for each in (one, other)
        ]
        wants = [await one.make(calls[0]), await other.make(calls[1])]
        first, second = (each.setup for each in wants)
        assert first is not None
        assert second is not None
        assert first.same == second.same
        assert first.digest != second.digest
        before = counted.runs
        seen = second.model_copy(update={"digest": first.digest})
        await asyncio.gather(one.set_up(first), other.set_up(seen, one.at))
        assert counted.runs - before == 2  # the update, and the setup of what it wrote
    results = [await one.make(calls[0]), await other.make(calls[1])]
    assert [each.outcome for each in results] == [ToolOutcome.DONE] * 2
    other.at = str(results[1].checkpoint)
    assert (await other.files())["own.js"] == b"x\n"
    assert await said(other, f"{SHOW} | tail -1") == "bow 1"


# ---- what does not come about


async def test_an_update_that_fails_changes_nothing(env: ActivityEnv, npm: Environment) -> None:
    """The agent reads command, output and exit code as an error, and can ask again."""
    job, agent = await begun(env, npm)
    told = await agent.install(command="npm install nothing")
    assert told.result.outcome is ToolOutcome.FAILED
    assert told.text == (
        "$ npm install nothing\nno such package\n\n[exit code 4]\n"
        "[it failed: nothing was installed, and no file was changed]"
    )
    assert agent.at == job.base
    assert (await agent.install(command="npm install bow")).outcome == "done"


async def test_a_setup_that_fails_after_the_update_changes_nothing(
    env: ActivityEnv, npm: Environment
) -> None:
    """The lock file of the worktree stays as it was, and no layer is made."""
    job, agent = await begun(env, npm)
    written(env.shown, {"bin/npm": NPM.replace("ci)", "ci) echo broken; exit 3;")})
    before = len(env.layers.all())
    told = await agent.install(command="npm install bow")
    assert told.outcome == "failed"
    assert "broken\n\n[exit code 3]" in told.text
    assert agent.at == job.base
    assert len(env.layers.all()) == before


async def test_an_interrupted_setup_leaves_no_layer_and_the_call_can_go_on(
    env: ActivityEnv, npm: Environment
) -> None:
    """Nothing of the interrupted one is recorded; the next attempt at the call runs it anew."""
    _, agent = await begun(env, npm)
    written(env.shown, {"bin/npm": NPM.replace("ci)", "ci) mkdir node_modules; sleep 60;")})
    await agent.edit("str_replace", "package-lock.json", old_str="greet", new_str="bow")
    call = await agent.call("install_dependencies", reason="r")
    wanted = (await agent.make(call)).setup
    assert wanted is not None
    running = asyncio.create_task(agent.set_up(wanted))
    await _appears(env.home / "worktrees", "node_modules")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert env.layers.find(wanted.layer) is None
    assert (await agent.make(call)).setup == wanted.model_copy(update={"ask": False})

    written(env.shown, {"bin/npm": NPM})
    assert (await agent.install()).outcome == "done"
    assert await said(agent, SHOW) == '"node_modules/" bow 1'


async def _appears(folder: Path, name: str) -> None:
    async with asyncio.timeout(60):
        while not list(folder.rglob(name)):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"command": "curl example.org"}, "it must begin with npm, "),
        ({"command": "npm install a && rm -rf x"}, "it must be one plain command"),
        ({"command": "npm run build"}, "npm may be told add, "),
        ({"command": "uv add httpx"}, "There is no uv on the PATH"),
        ({"command": "npm install a", "folder": "../up"}, "Error: "),
    ],
)
async def test_a_command_that_does_not_fit_is_an_error_result(
    env: ActivityEnv, npm: Environment, arguments: dict[str, Any], words: str
) -> None:
    """Nothing is asked of a person, and the text says what fits."""
    job, agent = await begun(env, npm)
    told = await agent.install(**arguments)
    assert told.outcome == "failed"
    assert words in told.text
    assert (agent.asked, agent.at) == ([], job.base)


async def test_without_a_known_setup_the_agent_hears_what_it_can_do(env: ActivityEnv) -> None:
    """Where there is no lock file, and nobody named a setup."""
    agent = await (await env.open()).agent()
    told = await agent.install(command="npm install bow")
    assert told.outcome == "failed"
    assert told.text.startswith("Nothing is known that installs the dependencies")


async def test_a_lock_file_that_is_gone_is_an_error_result(
    env: ActivityEnv, npm: Environment
) -> None:
    """It has to come back before anything can be installed."""
    _, agent = await begun(env, npm)
    await agent.run("rm package-lock.json")
    told = await agent.install()
    assert told.outcome == "failed"
    assert told.text == ("package-lock.json says what is installed, and is gone: restore it first.")


async def test_an_allowed_command_is_asked_anew_on_other_files(
    env: ActivityEnv, npm: Environment
) -> None:
    """What the package manager runs may be any file of the tree; the same tree is not asked."""
    _, agent = await begun(env, npm)
    failed: dict[str, Any] = {"command": "npm install nothing"}
    await agent.install(**failed)
    await agent.install(**failed)
    await agent.edit("create", "script.js", file_text="x\n")
    await agent.install(**failed)
    assert [each.ask for each in agent.asked] == [True, False, True]
    assert agent.asked[2].because.endswith("It runs on 1 more changed files of the agent's.")


async def test_the_setup_of_the_settings_runs_for_an_agent(env: ActivityEnv) -> None:
    """One that a repository names itself, without any package manager of ours."""
    copies = "mkdir -p vendored && cp -r third_party/. vendored/ && cp names vendored/"
    written(
        env.person,
        {
            ".gitignore": "vendored/\n",
            "names": "a\n",
            "third_party/a": "a\n",
            ".orchestcode/settings.json": json.dumps({"setup": [copies]}),
        },
    )
    commit(env.person, "settings")
    job = await env.open()
    assert job.opened.setup is not None
    assert job.opened.setup.origin is SetupOrigin.SETTINGS
    agent = await job.agent()
    await agent.edit("create", "names", file_text="a b\n")
    await agent.run("echo 'a b' > names")
    assert (await agent.install()).outcome == "done"
    assert await said(agent, "cat vendored/names") == "a b"


def test_a_setup_that_is_wanted_survives_the_wire() -> None:
    """What histories hold of one from before has neither update nor record."""
    old = '{"rule": {"commands": ["npm ci"]}, "origin": "lock file", "layer": "x"}'
    found = WantedSetup.model_validate_json(old)
    assert (found.update, found.record) == ("", "")
