"""Rules about paths and commands bind every tool and the sandbox alike."""

import json
from collections.abc import AsyncIterator

import pytest
from temporalio.exceptions import ApplicationError

from activities.tools.permissions import known_tools, policy_of
from contracts.permissions import RequestPermissions
from contracts.verdicts import Permission
from domain import ids
from domain.policy.tools import BUILT_IN
from infra.sandbox import Sandbox
from infra.store import RefUpdate, records
from tests.infra.bench import ActivityEnv, Agent, activity_env

SETTINGS = ".orchestcode/settings.json"
FILES = {
    "a.txt": "one\n",
    "secrets/key.txt": "sesame\n",
    "sub/.env": "sesame\n",
    "conf/app.toml": "x = 1\n",
    "docs/a.md": "a\n",
    SETTINGS: json.dumps(
        {
            "permissions": {
                "deny": [
                    {"rule": "Read(./secrets/**)", "reason": "ask the team"},
                    "Read(.env)",
                    "Edit(./conf/**)",
                    "Bash(curl:*)",
                ],
                "ask": ["Edit(docs/**)"],
                "allow": ["Bash(make:*)"],
            }
        }
    ),
}


@pytest.fixture
async def ruled(proved_sandbox: Sandbox) -> AsyncIterator[ActivityEnv]:
    """Yield an environment whose repository brings rules along."""
    async with activity_env(proved_sandbox, files=FILES) as env:
        yield env


@pytest.fixture
async def agent(ruled: ActivityEnv) -> Agent:
    """Return an agent at work there."""
    return await (await ruled.open()).agent()


async def test_the_rules_of_the_base_are_pinned_with_the_request(ruled: ActivityEnv) -> None:
    """What the checkout says later is of later requests; what does not count is noted."""
    job = await ruled.open()
    (ruled.person / SETTINGS).write_text("{}")

    found = await policy_of(job.store, job.opened.repository.request_key)

    assert [rule.source.text for rule in found.saying(Permission.DENY)] == [
        "Read(./secrets/**)",
        "Read(.env)",
        "Edit(./conf/**)",
        "Bash(curl:*)",
    ]
    assert not found.saying(Permission.ALLOW)
    assert any("Bash(make:*) does not count" in note for note in job.opened.notes)


async def test_the_users_own_file_comes_first_and_may_allow(ruled: ActivityEnv) -> None:
    """It lies in the home; each rule keeps the name of its file."""
    own = ruled.folder / "own.json"
    own.write_text('{"permissions": {"allow": ["Bash(ls *)"], "deny": ["Bash(git push:*)"]}}')
    ruled.repositories._permissions = own
    job = await ruled.open()

    found = await policy_of(job.store, job.opened.repository.request_key)

    assert found.saying(Permission.DENY)[0].source.file == str(own)
    assert [rule.source.text for rule in found.saying(Permission.ALLOW)] == ["Bash(ls *)"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON"),
        ('{"checks": []}', 'unknown key "checks"'),
        ('{"permissions": {"deny": ["Bash("]}}', "write Tool, Tool(pattern)"),
        (
            '{"permissions": {"deny": [{"rule": "Bash(git:*)", "not_match": ["git x"]}]}}',
            "but it does",
        ),
    ],
)
async def test_a_users_file_that_is_wrong_is_refused_before_anything(
    ruled: ActivityEnv, text: str, said: str
) -> None:
    """The sentence names the file and what is wrong with it; nothing was touched."""
    own = ruled.folder / "own.json"
    own.write_text(text)
    ruled.repositories._permissions = own

    with pytest.raises(ApplicationError, match=r"own\.json") as refused:
        await ruled.open()

    assert said in str(refused.value)
    assert ruled.made() == []


async def test_a_request_from_before_has_no_rules(ruled: ActivityEnv) -> None:
    """It is judged as it was: nothing is pinned with it."""
    job = await ruled.open()
    key = job.opened.repository.request_key
    ref = ids.permissions_ref(key)
    kept = await records.read(job.store, ref, RequestPermissions)
    assert kept is not None
    await job.store.update_refs(RefUpdate(ref, None, job.store.ref(ref)))

    assert (await policy_of(job.store, key)).rules == ()


async def test_what_may_not_be_read_is_closed_to_every_tool(agent: Agent) -> None:
    """A view is denied with the reason, a search leaves it out, a command finds nothing."""
    viewed = await agent.view("secrets/key.txt")
    found = await agent.search("sesame")
    ran = await agent.run("cat secrets/key.txt sub/.env; ls secrets; grep -r sesame . ; true")

    assert (viewed.outcome, "ask the team" in viewed.text) == ("denied", True)
    assert "sesame" not in viewed.text.replace("ask the team", "")
    assert "key.txt:1" not in found.text
    assert "closed by Read(./secrets/**): secrets/key.txt" in found.text
    assert "closed by Read(.env): sub/.env" in found.text
    assert "sesame" not in ran.text
    assert "app.toml" not in ran.text


async def test_a_closed_file_stays_as_it_was_in_the_checkpoint(agent: Agent) -> None:
    """It is hidden from the command alone: no checkpoint loses it."""
    await agent.run("echo x > new.txt")

    files = await agent.files()
    assert files["secrets/key.txt"] == b"sesame\n"
    assert files["new.txt"] == b"x\n"


async def test_git_still_shows_what_the_base_holds(agent: Agent) -> None:
    """Rules bind files: docs/policy.md says that git's objects stay readable."""
    ran = await agent.run("git show HEAD:secrets/key.txt")

    assert "sesame" in ran.text


async def test_what_may_not_be_changed_is_read_only_for_commands(agent: Agent) -> None:
    """It can be read; a rule that asks holds in a command, in which nobody is asked."""
    for line in (
        "echo 2 > conf/app.toml",
        "rm -r conf",
        "python3 -c \"open('conf/new', 'w')\"",
        "echo 2 >> docs/a.md",
    ):
        ran = await agent.run(f"cat conf/app.toml; {line}")

        files = await agent.files()
        assert "x = 1" in ran.text or ran.outcome == "denied"
        assert ran.outcome != "done"
        assert (files["conf/app.toml"], files["docs/a.md"]) == (b"x = 1\n", b"a\n")
        assert "conf/new" not in files


async def test_what_is_moved_all_the_same_is_brought_back(agent: Agent) -> None:
    """A folder above a mount can be moved: all that the command changed is undone, and said."""
    for line in ("mv conf c2", "mv secrets open", "mkdir -p x && mv sub x", "mkdir -p x/docs"):
        ran = await agent.run(f"{line}; mv docs x")

        files = await agent.files()
        assert ran.outcome != "done"
        assert {"conf/app.toml", "secrets/key.txt", "sub/.env", "docs/a.md"} <= set(files)
    assert "sesame" not in (await agent.run("cat */key.txt */*/.env; true")).text


async def test_an_edit_that_is_denied_is_denied_once_more_when_it_is_made(agent: Agent) -> None:
    """The activity judges the call too, whatever the turn that asked for it says."""
    edited = await agent.make(
        await agent.call("edit", command="create", path="conf/b.toml", file_text="x")
    )

    assert edited.outcome == "denied"
    assert not (agent.path / "conf" / "b.toml").exists()


async def test_a_command_reads_the_folders_that_its_user_opens(ruled: ActivityEnv) -> None:
    """`additionalDirectories` of the user's file are shown to commands, read-only."""
    opened = ruled.folder / "opened"
    opened.mkdir()
    (opened / "x").write_text("from outside\n")
    own = ruled.folder / "own.json"
    own.write_text(json.dumps({"permissions": {"additionalDirectories": [str(opened)]}}))
    ruled.repositories._permissions = own
    agent = await (await ruled.open()).agent()

    ran = await agent.run(f"cat {opened}/x; echo y > {opened}/x; true")

    assert "from outside" in ran.text
    assert (opened / "x").read_text() == "from outside\n"


def test_the_tools_that_come_along_are_known_without_the_registry() -> None:
    """What the command line explains holds for the tools that there are."""
    assert dict(BUILT_IN) == known_tools()
