"""An agent's hands: each call a transaction on a real worktree, in the real sandbox."""

import asyncio
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

from contracts.failures import FailureKind
from contracts.planning import Claim, WriteScope
from contracts.tools import ToolCall
from domain import ids
from domain.planning import scope as scopes
from infra import commands
from tests.infra.bench import SECRET, ActivityEnv, Agent, Job, alive, reply_text, token
from tests.local_deployment import ROOT, until


async def test_a_repeated_call_returns_what_was_recorded(agent: Agent) -> None:
    """A call whose end was recorded is not done again, whatever the worktree holds since."""
    call = await agent.call("run_command", command="echo once >> log.txt; cat log.txt")
    first = await agent.make(call)
    agent.at = first.checkpoint or ""
    await agent.run("echo twice >> log.txt")

    again = await agent.make(call)

    assert again == first
    assert (await agent.files())["log.txt"] == b"once\ntwice\n"


async def test_what_an_earlier_attempt_left_is_undone(agent: Agent) -> None:
    """An attempt that began and never settled leaves nothing for the next one to stumble over."""
    await agent.edit("create", "kept.txt", file_text="kept\n")
    pool = await agent.job.pool()
    lease = agent.lease
    async with pool.open_worktree(lease.worktree, lease.epoch, agent.at) as place:
        place.begin("call-lost")
        (agent.path / "half.txt").write_text("half done")
        (agent.path / "kept.txt").unlink()

    ended = await agent.run("ls; cat kept.txt")

    assert "half.txt" not in ended.text
    assert ended.text == "a.txt\nb.txt\nkept.txt\nkept\n[exit code 0]"


async def test_a_command_that_filled_the_disk_is_undone(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it wrote is gone, checkpointed files are as they were, and the model is told why."""
    await agent.edit("create", "kept.txt", file_text="kept\n")
    with monkeypatch.context() as full:
        full.setattr(commands, "free_bytes", lambda _place: 0)
        ended = await agent.run("echo more >> kept.txt; echo much > big.bin; false")

    assert ended.text == (
        "[exit code 1; it filled the disk, so all it wrote was undone and /tmp and HOME were "
        "emptied]"
    )
    assert (await agent.run("ls; cat kept.txt")).text == (
        "a.txt\nb.txt\nkept.txt\nkept\n[exit code 0]"
    )


async def test_a_call_starts_from_the_checkpoint_it_expects(agent: Agent) -> None:
    """A conversation that was taken back to an earlier turn finds that turn's files."""
    beginning = agent.at
    await agent.edit("create", "new.txt", file_text="new\n")
    agent.at = beginning

    listed = await agent.run("ls")

    assert listed.text == "a.txt\nb.txt\n[exit code 0]"
    assert listed.result.checkpoint == beginning


async def test_an_old_epoch_is_refused_for_good(job: Job, agent: Agent) -> None:
    """Whoever lost the worktree can neither change nor read it, and is not retried."""
    edit = await agent.call("edit", command="create", path="z.txt", file_text="z")
    pool = await job.pool()
    await pool.release(agent.lease.worktree, agent.lease.epoch)
    later = await job.agent("b")

    for attempt in (agent.make(edit), agent.view("a.txt")):
        with pytest.raises(ApplicationError) as caught:
            await attempt
        assert (caught.value.type, caught.value.non_retryable) == (FailureKind.FENCED, True)
    assert later.lease.worktree == agent.lease.worktree
    assert not (later.path / "z.txt").exists()


async def test_a_call_recorded_before_the_lease_ended_is_still_answered(
    job: Job, agent: Agent
) -> None:
    """A lost acknowledgement is free even when the worktree belongs to somebody else by now."""
    call = await agent.call("edit", command="create", path="z.txt", file_text="z\n")
    first = await agent.make(call)
    pool = await job.pool()
    await pool.release(agent.lease.worktree, agent.lease.epoch)

    assert await agent.make(call) == first


async def test_two_attempts_at_one_call_act_once(agent: Agent) -> None:
    """An attempt that overtakes another waits for it and returns the same outcome."""
    call = await agent.call("run_command", command="echo x >> log.txt; sleep 0.3")

    first, second = await asyncio.gather(agent.make(call), agent.make(call))

    assert first == second
    agent.at = first.checkpoint or ""
    assert (await agent.files())["log.txt"] == b"x\n"


KILLED = """
    import asyncio, os, sys
    from pathlib import Path
    from temporalio.testing import ActivityEnvironment
    from infra.worktrees.open_pools import OpenPools
    from infra.commands import CommandRunner
    from infra.sandbox import Sandbox
    from infra.store.open_stores import OpenStores
    from activities.tools.dispatch import WorktreeTools
    from contracts.tools import ToolCall

    async def main() -> None:
        home, scratch = Path(sys.argv[1]), Path(sys.argv[2])
        stores = OpenStores(home / "stores")
        uid_base = 60_000 if os.geteuid() == 0 else None
        pools = OpenPools(stores, home / "worktrees", host_id="test-host", uid_base=uid_base)
        sandbox = Sandbox()
        await sandbox.probe(scratch)
        tools = WorktreeTools(
            stores, pools, CommandRunner(sandbox, hide=(home,)), redact=str,
            recall=home / "recall",
        )
        call = ToolCall.model_validate_json(sys.stdin.read())
        await ActivityEnvironment().run(tools.run_command, call)

    asyncio.run(main())
"""


def started_worker(env: ActivityEnv, scratch: Path, call: ToolCall) -> subprocess.Popen[bytes]:
    """Start a process that makes the call as a worker would."""
    worker = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(env.home), str(scratch)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
    )
    assert worker.stdin is not None
    with worker.stdin as stdin:
        stdin.write(call.model_dump_json().encode())
    return worker


def owners(folder: Path) -> set[int]:
    """Return who owns the files below a folder, and itself."""
    return {path.stat().st_uid for path in (folder, *folder.rglob("*"))}


async def test_a_worker_killed_in_the_middle_of_a_command(env: ActivityEnv, agent: Agent) -> None:
    """Its processes die with it, and the repeated call starts from the checkpoint and acts once."""
    word = token()
    line = f"echo half >> log.txt; cat a.txt > {word}; sleep 5"
    call = await agent.call("run_command", command=line)
    scratch = env.folder / "scratch"
    scratch.mkdir()
    worker = started_worker(env, scratch, call)
    await until((agent.path / word).exists, seconds=20)
    worker.kill()
    worker.wait()
    await until(lambda: not alive(word), seconds=5)

    result = await agent.make(call)

    agent.at = result.checkpoint or ""
    assert (await agent.files())["log.txt"] == b"half\n"


async def test_a_command_past_its_limit_is_one_result(agent: Agent) -> None:
    """It ends once, as a timed-out result that keeps what was written, and no process is left."""
    word = token()
    line = f"echo before; echo {word} > f.txt; (exec -a {word} sleep 60) & exec -a {word} sleep 60"
    call = await agent.call("run_command", command=line, timeout_seconds=1)

    result = await agent.make(call)

    assert result.outcome == "timed_out"
    text = await reply_text(agent.job.store, result)
    assert text.startswith(
        "before\n[timed out after 1 s, all its processes were ended: run less at once"
    )
    assert alive(word) == []
    assert await agent.make(call) == result
    agent.at = result.checkpoint or ""
    assert (await agent.files())["f.txt"] == f"{word}\n".encode()


async def test_edits_keep_modes_and_write_only_what_changed(agent: Agent) -> None:
    """An executable stays one; each state is pinned, and an edit's parent is the state before."""
    made = await agent.run("printf '#!/bin/sh\\necho a\\n' > tool; chmod +x tool; echo b > b.txt")
    await agent.view("tool")
    edited = await agent.edit("str_replace", "tool", old_str="echo a", new_str="echo c")

    store = agent.job.store
    entry = await store.entry_at(agent.at, "tool")
    assert entry is not None
    assert entry.mode == "100755"
    assert (await agent.files())["tool"] == b"#!/bin/sh\necho c\n"
    assert (await store.get_commit(agent.at)).parents == (made.result.checkpoint,)
    pin = ids.checkpoint_ref("one", "a", edited.result.call_id)
    assert await store.resolve(pin) == agent.at
    # The scan after the edit finds the same tree: both ways of making a checkpoint agree.
    assert (await agent.run("true")).result.checkpoint == edited.result.checkpoint


async def test_an_edit_of_an_undeclared_path_warns_the_agent(agent: Agent) -> None:
    """At the edit itself: what another task writes needs a person, what belongs to it does not."""
    scope = WriteScope(writes=("core.py",), claims=(Claim(task="cli", writes=("cli.py",)),))
    told = {}
    for path in ("core.py", "README", "cli.py"):
        call = await agent.call("edit", command="create", path=path, file_text="x = 1\n")
        result = await agent.make(call.model_copy(update={"scope": scopes.about(scope, path)}))
        agent.at, agent.seen = result.checkpoint or "", result.seen
        told[path] = await reply_text(agent.job.store, result)

    assert "not among the paths" not in told["core.py"]
    assert "it may change all the same" in told["README"]
    assert "task 'cli' writes it too: a person will have to approve the patch" in told["cli.py"]
    assert set(await agent.files()) >= {"core.py", "README", "cli.py"}


async def test_a_command_that_changes_undeclared_paths_tells_the_agent_at_once(
    agent: Agent,
) -> None:
    """In the output of the command that changed them, once for each path; not of paths that are
    declared, nor of those that are as in the base again.
    """
    scope = WriteScope(writes=("core.py",), claims=(Claim(task="cli", writes=("cli.py",)),))

    async def told(command: str) -> str:
        call = await agent.call("run_command", command=command)
        result = await agent.make(call.model_copy(update={"scope": scope}))
        agent.at, agent.seen = result.checkpoint or "", result.seen
        return await reply_text(agent.job.store, result)

    first = await told("echo 1 | tee core.py cli.py helper.py a.txt")
    again = await told("echo 2 | tee core.py cli.py helper.py")
    back = await told("git checkout -q a.txt; rm b.txt")
    restored = await told("git checkout -q b.txt")
    many = await told("for n in $(seq 20); do echo > new$n.c; done")

    assert "cli.py is not among the paths of your task, and task 'cli' writes it too" in first
    assert "helper.py is not among the paths of your task; it may change" in first
    assert "core.py is" not in first
    assert again == "2\n[exit code 0]"
    assert back.count("not among") == 1
    assert "b.txt is not among" in back
    assert restored == "[exit code 0]"
    assert many.count("is not among the paths") == 8
    assert "[12 more of the changed paths are not among those of your task]" in many


async def test_a_path_has_one_form(agent: Agent) -> None:
    """A file viewed as ./a.txt is the file edited as a.txt and the other way round."""
    await agent.view("./a.txt")
    first = await agent.edit("insert", "a.txt", insert_line=0, insert_text="zero\n")
    second = await agent.edit("insert", ".//a.txt", insert_line=0, insert_text="before\n")

    assert (first.outcome, second.outcome) == ("done", "done")
    assert (await agent.files())["a.txt"] == b"before\nzero\none\ntwo\nthree\n"
    assert (await agent.edit("create", "new/", file_text="x")).outcome == "failed"


async def test_an_ignored_file_stays_out_of_the_patch(agent: Agent) -> None:
    """The agent is told at every edit of it, also of one that a command made; what is tracked
    already is recorded although a rule ignores it.
    """
    await agent.edit("create", ".gitignore", file_text="*.log\na.txt\nbuild/\n")
    created = await agent.edit("create", "x.log", file_text="one\n")
    replaced = await agent.edit("str_replace", "x.log", old_str="one", new_str="two")
    await agent.run("mkdir build; echo made > build/y")
    await agent.view("build/y")
    by_command = await agent.edit("str_replace", "build/y", old_str="made", new_str="edited")
    await agent.view("a.txt")
    tracked = await agent.edit("str_replace", "a.txt", old_str="two", new_str="2")

    for told in (created, replaced, by_command):
        assert told.outcome == "done"
        assert "is ignored by git, so it will not be part of the patch." in told.text
    assert "ignored" not in tracked.text
    assert await agent.files() == {
        ".gitignore": b"*.log\na.txt\nbuild/\n",
        "a.txt": b"one\n2\nthree\n",
        "b.txt": b"b\n",
    }
    kept = await agent.run("cat x.log build/y")
    assert kept.text == "two\nedited\n[exit code 0]"


async def test_a_file_named_like_a_pattern_is_itself(agent: Agent) -> None:
    """Whether a file is ignored is asked of its name, not of the pathspec that it looks like."""
    await agent.edit("create", ".gitignore", file_text="*.log\n")
    told = await agent.edit("create", ":(glob)x", file_text="x\n")

    assert told.outcome == "done"
    assert (await agent.files())[":(glob)x"] == b"x\n"


async def test_nested_repositories_are_reported(agent: Agent) -> None:
    """A repository inside the worktree is not recorded, nor is an edit in it; both say so."""
    made = await agent.run("git init -q inner && echo x > inner/x.txt")
    edited = await agent.edit("create", "inner/y.txt", file_text="y\n")
    after = await agent.run("cat inner/y.txt")

    assert "[not part of the checkpoint: nested repositories inner/]" in made.text
    assert "is in another repository, inner, so it will not be part of the patch" in edited.text
    assert after.text.startswith("y\n")
    assert sorted(await agent.files()) == ["a.txt", "b.txt"]


async def test_a_refused_edit_changes_nothing_and_is_a_value(agent: Agent) -> None:
    """What cannot or may not be done comes back as a result, at the checkpoint of before."""
    before = agent.at
    tries = [
        await agent.edit("str_replace", "gone.txt", old_str="a", new_str="b"),
        await agent.edit("str_replace", "a.txt", old_str="nowhere", new_str="b"),
        await agent.edit("create", "a.txt", file_text="over it"),
        await agent.edit("create", "../out.txt", file_text="x"),
        await agent.edit("create", ".git/config", file_text="x"),
        await agent.edit("create", "a.txt/below", file_text="x"),
        await agent.edit("create", "nul\0.txt", file_text="x"),
        await agent.edit("create", "x.txt"),
        await agent.edit("insert", "a.txt"),
    ]

    said = [told.text for told in tries]
    denied = [place for place, told in enumerate(tries) if told.outcome == "denied"]
    assert denied == [3, 4, 6], said
    assert {told.outcome for told in tries} == {"failed", "denied"}
    assert all(text.startswith(("Error", "Denied")) for text in said), said
    assert agent.at == before
    assert (await agent.run("cat a.txt")).text == "one\ntwo\nthree\n[exit code 0]"


@pytest.mark.every_user
async def test_an_edit_follows_no_link_out(env: ActivityEnv, agent: Agent) -> None:
    """A link that a command made does not lead an edit or a view to a file outside."""
    outside = env.folder / "secret.txt"
    outside.write_text("secret\n")
    await agent.run(f"ln -s {outside} link; ln -s {env.folder} folder; ln -s a.txt inside")

    tries = [
        await agent.view("link"),
        await agent.view("folder/secret.txt"),
        await agent.edit("create", "folder/new.txt", file_text="x"),
        await agent.edit("create", "link", file_text="x"),
    ]

    assert {told.outcome for told in tries} == {"failed"}
    assert "use 'a.txt'" in (await agent.view("inside")).text
    assert outside.read_text() == "secret\n"
    assert not (env.folder / "new.txt").exists()


async def test_files_deleted_and_renamed_by_commands_are_recorded(agent: Agent) -> None:
    """There is no tool to delete: a command does it, and the checkpoint follows."""
    await agent.run("rm a.txt; mv b.txt c.txt")

    assert await agent.files() == {"c.txt": b"b\n"}


async def test_views_of_all_kinds_of_files(agent: Agent) -> None:
    """Text is numbered, other encodings are reply_text, and what cannot be shown is a sentence."""
    await agent.run(
        "printf 'caf\\xe9\\n' > latin.txt; printf '\\0\\1\\2' > binary.bin; : > empty.txt;"
        "head -c 2000000 /dev/zero | tr '\\0' x > huge.txt; mkfifo pipe; mkdir folder"
    )

    texts = {
        path: (await agent.view(path)).text
        for path in ("a.txt", "latin.txt", "binary.bin", "huge.txt", "gone.txt", "pipe", "folder/")
    }

    assert texts["a.txt"] == "     1\tone\n     2\ttwo\n     3\tthree"
    assert "café" in texts["latin.txt"]
    assert texts["binary.bin"] == "Error: binary.bin is not text (3 bytes)."
    assert "[1,998,000 more characters]\n" in texts["huge.txt"]
    assert texts["huge.txt"].endswith("the file is too large to be edited (2,000,000 bytes)")
    assert texts["gone.txt"] == "Error: File not found: gone.txt"
    assert texts["pipe"] == "Error: 'pipe' is not a regular file."
    assert texts["folder/"] == "(empty folder)"
    assert (await agent.view("a.txt", view_range=[2, -1])).text.startswith("     2\ttwo")
    assert (await agent.view("a.txt", view_range=[9, 9])).outcome == "failed"
    assert "empty" in (await agent.view("empty.txt")).text
    assert "binary.bin" in (await agent.view(".")).text


async def test_reading_calls_of_one_turn_come_back_in_order(agent: Agent) -> None:
    """One failed view does not spoil the others, and what was seen is remembered."""
    told = await agent.read(
        ("view", {"path": "gone.txt"}),
        ("search", {"pattern": "t[wh]"}),
        ("view", {"path": "b.txt"}),
    )

    assert [each.outcome for each in told] == ["failed", "done", "done"]
    assert [each.result.call_id for each in told] == ["use-0", "use-1", "use-2"]
    assert told[1].text == "a.txt:2:two\na.txt:3:three"
    assert agent.seen is not None
    assert list(json.loads(await agent.job.store.get_blob(agent.seen))) == ["b.txt"]


async def test_a_changed_file_must_be_viewed_again(agent: Agent) -> None:
    """A command that changed a file makes what the agent saw of it stale."""
    await agent.view("a.txt")
    await agent.run("sed -i s/one/eins/ a.txt")

    stale = await agent.edit("insert", "a.txt", insert_line=1, insert_text="x\n")
    await agent.view("a.txt")
    fresh = await agent.edit("insert", "a.txt", insert_line=1, insert_text="x\n")

    assert "other changes since you read it" in stale.text
    assert (stale.outcome, fresh.outcome) == ("failed", "done")
    assert (await agent.files())["a.txt"] == b"eins\nx\ntwo\nthree\n"


async def test_what_a_command_showed_can_be_quoted_in_an_edit(agent: Agent) -> None:
    """Joiners of emoji and scripts come out of commands as they are in the file, so that the text
    that the model quotes is found.
    """
    await agent.run("printf 'by 👩\\u200d💻\\nمی\\u200cخواهم\\na\\u200db\\n' > who.txt")
    shown = (await agent.run("cat who.txt")).text.splitlines()
    for line in shown[:3]:
        await agent.edit("str_replace", "who.txt", old_str=line, new_str=f"{line}!")

    text = "by 👩\u200d💻!\nمی\u200cخواهم!\na\u200db!\n"
    assert (await agent.files())["who.txt"].decode() == text


async def test_create_overwrites_nothing_that_was_not_viewed(agent: Agent) -> None:
    """Not after an exact edit of the unseen file, nor after a view of a part, only after all of it
    was shown; what the agent itself has made it has seen.
    """
    await agent.run("seq 1 5000 > long.txt")
    await agent.edit("str_replace", "long.txt", old_str="4999", new_str="changed")
    blind = await agent.edit("create", "long.txt", file_text="gone\n")
    numbered = await agent.edit("insert", "long.txt", insert_line=1, insert_text="x\n")
    await agent.view("long.txt")
    part = await agent.edit("create", "long.txt", file_text="gone\n")
    await agent.view("long.txt", view_range=[2001, 4000])
    await agent.view("long.txt", view_range=[4001, -1])
    whole = await agent.edit("create", "long.txt", file_text="new\n")
    own = await agent.edit("create", "long.txt", file_text="newer\n")

    assert [each.outcome for each in (blind, numbered, part)] == ["failed"] * 3
    assert "you have not viewed it" in blind.text
    assert "You have not seen lines 2001 to 5000" in part.text
    assert [each.outcome for each in (whole, own)] == ["done", "done"]


async def test_a_failed_command_is_a_value_with_its_whole_log_kept(agent: Agent) -> None:
    """The model sees head and tail; the log holds every byte, and the preview is short."""
    told = await agent.run("seq 1 20000; printf '\\033[31mred\\033[0m\\xff\\n' >&2; exit 3")

    assert told.outcome == "failed"
    assert told.text.endswith("red\\xff\n[exit code 3]")
    assert "lines (" in told.text
    assert len(told.text) < 40_000
    assert len(told.result.preview) <= 200
    ref = ids.call_ref("one", "a", told.result.call_id)
    log = await agent.job.store.get_blob(f"{ref}:log")
    assert log.startswith(b"1\n2\n")
    assert b"\n20000\n" in log


TOKEN = "ghp_" + "a1B2" * 9


async def test_no_preview_of_an_output_holds_a_secret_or_an_escape(agent: Agent) -> None:
    """Known secrets and what is shaped like one are replaced before the cut; the agent's own
    output is as it was.
    """
    padded = "x" * 45
    known = await agent.run(f"printf '\\033[31mkey {SECRET}\\033[0m\\n'")
    shaped = await agent.run(f"echo {padded} {TOKEN}")
    hidden = await agent.run(f"printf 'ghp_\\033[1m{TOKEN[4:]}\\n'")
    viewed = await agent.view("a.txt")

    assert SECRET in known.text
    assert TOKEN in shaped.text
    assert known.result.preview == "key [redacted] [exit code 0]"
    assert shaped.result.preview == f"{padded} [redacted] [exit code 0]"
    assert hidden.result.preview == "[redacted] [exit code 0]"
    assert viewed.result.preview


async def test_a_worktree_belongs_to_its_own_user(agent: Agent) -> None:
    """A file that the worker wrote can be changed by the commands, and the other way round."""
    await agent.edit("create", "deep/er/new.txt", file_text="x\n")
    by_command = await agent.run(
        "echo y >> deep/er/new.txt; echo z > deep/er/z.txt; chmod 600 a.txt"
    )
    await agent.view("deep/er/z.txt")
    by_worker = await agent.edit("str_replace", "deep/er/z.txt", old_str="z", new_str="zz")

    assert (by_command.outcome, by_worker.outcome) == ("done", "done")
    assert (await agent.files())["deep/er/new.txt"] == b"x\ny\n"
    if os.geteuid() == 0:
        assert len(owners(agent.path)) == 1
        assert 0 not in owners(agent.path)
