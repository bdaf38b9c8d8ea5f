"""Rules about paths and commands bind every tool and the sandbox alike."""

import json
from collections.abc import AsyncIterator

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.permissions import PinnedPermissions
from activities.tools.permissions import known_tools, policy_of
from activities.tools.registry import tools_by_name
from contracts.permissions import AllowedRule, AllowRules, PermissionMode, RequestPermissions
from contracts.tools import CallApproval, ReadCall, ToolCall
from contracts.verdicts import Permission
from domain import ids
from domain.approvals import calls
from domain.policy.judge import judge
from domain.policy.offers import with_offers
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


PATCH = """*** Begin Patch
*** Update File: a.txt
@@
-one
+two
*** Update File: docs/a.md
*** Move to: {to}
*** End Patch
"""


async def test_a_rule_about_a_path_binds_every_file_of_a_patch(agent: Agent) -> None:
    """The new path of a moved file too: one that is denied denies the whole."""
    told = await agent.patch(PATCH.format(to="conf/a.md"))

    assert told.outcome == "denied"
    assert "Edit(./conf/**)" in told.text
    assert (await agent.files())["a.txt"] == b"one\n"
    read = await agent.patch("--- a/sub/.env\n+++ b/sub/.env\n@@ -1 +1 @@\n-guess\n+x\n")
    assert read.outcome == "denied"
    assert "sesame" not in read.text


async def test_an_undo_that_would_change_what_a_person_decides_on_is_refused(agent: Agent) -> None:
    """They allowed the patch, not its undoing; each file can be changed back by itself."""
    await agent.patch(PATCH.format(to="b.md"))
    told = await agent.edit("undo_edit", "a.txt")

    assert "That edit changed docs/a.md too, and a person decides on `docs/a.md`" in told.text
    assert (await agent.files())["a.txt"] == b"two\n"


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


# ---- what a person has approved


async def asked_call(agent: Agent, line: str) -> tuple[ToolCall, CallApproval]:
    """Return a call about which a person is asked, and what they approve who approve it."""
    call = await agent.call("run_command", command=line)
    call = call.model_copy(update={"approval": CallApproval()})
    shown = CallApproval(checkpoint=call.expected, rules=("Bash(make)",))
    digest = calls.digest_of(call.tool, call.arguments, shown)
    return call, shown.model_copy(update={"digest": digest})


@pytest.fixture
async def asking(ruled: ActivityEnv) -> Agent:
    """Return an agent whose commands ask where no rule allows them."""
    own = ruled.folder / "own.json"
    own.write_text('{"sandbox": {"autoAllowBashIfSandboxed": false}}')
    ruled.repositories._permissions = own
    return await (await ruled.open()).agent()


async def test_what_the_rules_ask_about_is_made_only_as_it_was_approved(asking: Agent) -> None:
    """Compared just before it is made: the tool, all arguments, what was shown with them."""
    call, approval = await asked_call(asking, "echo x > made.txt")
    other, of_other = await asked_call(asking, "echo y > made.txt")
    for wrong in (
        call,
        call.model_copy(update={"approval": of_other}),
        call.model_copy(update={"approval": approval.model_copy(update={"rules": ()})}),
        call.model_copy(update={"approval": approval, "arguments": other.arguments}),
    ):
        name = {"call_id": f"{call.call_id}-{ids.digest(wrong.model_dump_json())}"}
        made = await asking.make(wrong.model_copy(update=name))
        assert made.outcome == "denied"
        assert "nobody has approved exactly this call" in made.preview
        assert not (asking.path / "made.txt").exists()

    right = await asking.make(call.model_copy(update={"approval": approval}))
    assert right.outcome == "done"
    assert (asking.path / "made.txt").read_text() == "x\n"


async def test_a_call_that_was_approved_before_this_was_looked_at_is_made(asking: Agent) -> None:
    """Histories from before say nothing of it: the answer counts as it did."""
    call, _ = await asked_call(asking, "echo x > made.txt")

    assert (await asking.make(call.model_copy(update={"approval": None}))).outcome == "done"


async def test_what_is_read_is_looked_at_too(ruled: ActivityEnv) -> None:
    """A view about which a rule asks, without an answer and with it."""
    own = ruled.folder / "own.json"
    own.write_text('{"permissions": {"ask": ["Read(a.txt)"]}}')
    ruled.repositories._permissions = own
    agent = await (await ruled.open()).agent()
    arguments = await agent.job.arguments({"path": "a.txt"})
    shown = CallApproval(checkpoint=agent.at)
    approval = shown.model_copy(update={"digest": calls.digest_of("view", arguments, shown)})
    call = ReadCall(
        repository=agent.job.opened.repository,
        lease=agent.lease,
        task_ref=agent.task,
        expected=agent.at,
        calls=(("use", "view", arguments),),
        approvals=(),
    )
    approved = call.model_copy(update={"approvals": (("use", approval),)})
    made = [
        await ActivityEnvironment().run(ruled.tools.read_files, each) for each in (call, approved)
    ]

    assert [each.results[0].outcome for each in made] == ["denied", "done"]


async def test_what_an_answer_allows_holds_for_the_rest_of_its_request(
    ruled: ActivityEnv, asking: Agent
) -> None:
    """For each judgement from then on, of this request alone, also in a further attempt; a rule
    that denies stays, and what is no rule is left out.
    """
    rules = [AllowedRule(text=text, by="Ann", at=1.0) for text in ("Bash(echo x)", "Bash(")]
    order = AllowRules(repository=asking.job.opened.repository, rules=tuple(rules))
    pinned = PinnedPermissions(ruled.stores)
    for _ in range(2):
        found = await ActivityEnvironment().run(pinned.allow_rules, order)
        assert found.rules == (rules[0],)
    more = order.model_copy(update={"rules": (AllowedRule(text="Bash(curl x)"),)})
    await ActivityEnvironment().run(pinned.allow_rules, more)

    made = {}
    for line in ("echo x", "echo y", "curl x"):
        call, _ = await asked_call(asking, line)
        made[line] = (await asking.make(call)).outcome
    assert made == {"echo x": "done", "echo y": "denied", "curl x": "denied"}
    again = await ruled.open()
    assert [rule.text for rule in again.opened.allowed] == ["Bash(echo x)", "Bash(curl x)"]
    other = await ruled.open(request="request/another", branch="another")
    assert other.opened.allowed == ()
    judged = await policy_of(other.store, other.opened.repository.request_key)
    assert not judged.saying(Permission.ALLOW)


async def test_nothing_that_loosens_counts_for_a_strangers_words(ruled: ActivityEnv) -> None:
    """Neither rules of the person that allow, nor their mode or folders; notes say so. What denies
    and asks does, and a question offers nothing for the rest of the request.
    """
    own = ruled.folder / "own.json"
    allow = ["Bash(rm -rf *)", "WebFetch"]
    permissions = {
        "allow": allow,
        "deny": ["Bash(git push:*)"],
        "defaultMode": "bypassPermissions",
        "additionalDirectories": [str(ruled.shown)],
    }
    own.write_text(json.dumps({"permissions": permissions}))
    ruled.repositories._permissions = own
    job = await ruled.open(untrusted=True)
    policy = await policy_of(job.store, job.opened.repository.request_key)

    assert policy.saying(Permission.ALLOW) == ()
    assert "Bash(git push:*)" in [each.source.text for each in policy.saying(Permission.DENY)]
    assert (policy.record.mode, policy.record.folders) == (PermissionMode.DEFAULT, ())
    notes = "\n".join(job.opened.notes)
    for each in ("Bash(rm -rf *)", "bypassPermissions", str(ruled.shown)):
        assert f"{each} does not count: the words are a stranger's" in notes
    spec = tools_by_name()["edit"].spec
    arguments = {"command": "create", "path": "docs/b.md", "file_text": ""}
    verdict = judge(policy, spec, arguments)
    assert verdict.permission is Permission.ASK
    assert with_offers(policy, spec, arguments, verdict).offers == ()
