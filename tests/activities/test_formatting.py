"""What an agent edits is formatted by the repository's own formatter, and it is told."""

from collections.abc import AsyncIterator

import pytest

from contracts.repository import Environment
from infra.sandbox import Sandbox
from tests.infra.bench import ActivityEnv, Agent, activity_env
from tests.local_deployment import ROOT

RUFF = Environment(path=f"{ROOT / '.venv' / 'bin'}:/usr/local/bin:/usr/bin:/bin")
CONFIGURED = "[tool.ruff.format]\nquote-style = 'double'\n"
FILES = {"pyproject.toml": CONFIGURED, "a.py": "x = 1\n", "odd.py": "y  =  2\n", "b.txt": "b\n"}


@pytest.fixture
async def env(proved_sandbox: Sandbox) -> AsyncIterator[ActivityEnv]:
    """Yield an environment whose repository formats Python by ruff."""
    async with activity_env(proved_sandbox, files=FILES) as made:
        yield made


@pytest.fixture
async def agent(env: ActivityEnv) -> Agent:
    """Return an agent that has viewed its files; commands find ruff."""
    made = await (await env.open(environment=RUFF)).agent()
    for name in FILES:
        await made.view(name)
    return made


async def test_an_edited_file_is_formatted_and_the_agent_told(agent: Agent) -> None:
    """It knows the file as it is then, and the checkpoint holds it so."""
    done = await agent.edit("str_replace", "a.py", old_str="x = 1", new_str="x = {'a':1}")

    assert done.text.endswith(
        "[ruff formatted it:]\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x = {'a':1}\n+x = {\"a\": 1}"
    )
    assert (await agent.files())["a.py"] == b'x = {"a": 1}\n'
    again = await agent.edit("create", "a.py", file_text="x = 2\n")
    assert again.text.startswith("Done: a.py (overwritten)")
    assert "formatted" not in again.text
    await agent.edit("undo_edit", "a.py")
    assert (await agent.files())["a.py"] == b'x = {"a": 1}\n'
    ended = await agent.run("ls -A /tmp")
    assert (ended.text, ended.result.checkpoint) == ("home\n[exit code 0]", agent.at)


async def test_files_that_nobody_formats_stay_as_they_are_edited(agent: Agent) -> None:
    """One that was not formatted before, of another kind, with an error of syntax."""
    await agent.edit("str_replace", "odd.py", old_str="2", new_str="{'a':1}")
    await agent.edit("str_replace", "b.txt", old_str="b", new_str="b  =  1")
    broken = await agent.edit("str_replace", "a.py", old_str="x = 1", new_str="x  = (")

    files = await agent.files()
    assert files["odd.py"] == b"y  =  {'a':1}\n"
    assert files["b.txt"] == b"b  =  1\n"
    assert files["a.py"] == b"x  = (\n"
    assert "[ruff could not format a.py (exit code 1): error: Failed to parse" in broken.text


async def test_new_files_of_a_patch_are_formatted(agent: Agent) -> None:
    """In a folder of their own too; the configuration above it counts."""
    await agent.patch(
        "*** Add File: sub/new.py\n+x  =  1\n*** Update File: a.py\n@@\n-x = 1\n+x=2\n"
    )

    files = await agent.files()
    assert (files["sub/new.py"], files["a.py"]) == (b"x = 1\n", b"x = 2\n")


@pytest.mark.parametrize(
    ("name", "content"),
    [("pyproject.toml", "[tool.ruff]\n"), (".orchestcode/settings.json", '{"format": false}')],
)
async def test_without_a_configuration_or_switched_off_nothing_is_formatted(
    proved_sandbox: Sandbox, name: str, content: str
) -> None:
    """A linter's configuration is none of its formatter; the setting is the base's."""
    async with activity_env(proved_sandbox, files={**FILES, name: content}) as env:
        agent = await (await env.open(environment=RUFF)).agent()
        await agent.edit("create", "new.py", file_text="x  =  1\n")

        assert (await agent.files())["new.py"] == b"x  =  1\n"


async def test_a_formatter_that_is_not_there_is_no_word_worth(env: ActivityEnv) -> None:
    """The edit counts as it is."""
    agent = await (await env.open()).agent()
    done = await agent.edit("create", "new.py", file_text="x  =  1\n")

    assert done.text.startswith("Done: new.py (created).")
    assert "ruff" not in done.text
