"""apply_patch, several edits in one call, and undo: on a real worktree, all of it or none."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from contracts.planning import Claim, WriteScope
from contracts.tools import ToolCall, ToolOutcome
from infra.files.confined_files import ConfinedFiles, FileState
from infra.files.confined_root import PathRefused
from tests.infra.bench import ActivityEnv, Agent, Job, reply_text
from tests.local_deployment import ROOT

THREE = """*** Begin Patch
*** Update File: a.txt
@@
-one
+ONE
*** Add File: sub/deep/new.py
+VALUE = 1
*** Update File: b.txt
*** Move to: moved/b.txt
@@
-two
+TWO
*** End Patch
"""


@pytest.fixture
async def agent(job: Job) -> Agent:
    """Return an agent that has viewed two files of one line each."""
    made = await job.agent()
    await made.run("echo one > a.txt; echo two > b.txt; rm -f README.md")
    await made.view("a.txt")
    await made.view("b.txt")
    return made


async def test_a_patch_changes_several_files_in_one_checkpoint(agent: Agent) -> None:
    """Changed, added and moved files are in the worktree and in the checkpoint alike."""
    before = agent.at
    done = await agent.patch(THREE)

    assert done.text == (
        "Done:\nM a.txt: line 1\nA sub/deep/new.py\nR b.txt -> moved/b.txt: line 1"
    )
    assert await agent.files() == {
        "a.txt": b"ONE\n", "moved/b.txt": b"TWO\n", "sub/deep/new.py": b"VALUE = 1\n",
    }  # fmt: skip
    assert sorted(p.name for p in agent.path.iterdir() if p.name != ".git") == [
        "a.txt", "moved", "sub",
    ]  # fmt: skip
    commit = await agent.job.store.get_commit(agent.at)
    assert commit.parents == (before,)
    # The scan after it finds the same tree: both ways of making a checkpoint agree.
    assert (await agent.run("true")).result.checkpoint == done.result.checkpoint


async def test_a_repeated_patch_is_answered_from_the_journal(agent: Agent) -> None:
    """A lost acknowledgement does not apply it twice."""
    call = await agent.call("apply_patch", patch=THREE)
    first = await agent.make(call)

    assert await agent.make(call) == first
    agent.at = first.checkpoint or ""
    assert (await agent.files())["a.txt"] == b"ONE\n"


async def test_a_patch_that_does_not_fit_leaves_every_file(agent: Agent) -> None:
    """The files before the one that differs too, and the agent is told where that is."""
    before = agent.at
    failed = await agent.patch(THREE.replace("-two", "-too"))

    assert failed.result.outcome is ToolOutcome.FAILED
    assert "b.txt: The hunk at line 10 of the patch fits nowhere in the file." in failed.text
    assert agent.at == before
    assert (agent.path / "a.txt").read_text() == "one\n"
    assert not (agent.path / "sub").exists()


async def test_an_agent_knows_what_its_patch_made(agent: Agent) -> None:
    """A patched or moved file needs no further view; one that a command changed since does."""
    await agent.patch(THREE)

    made = await agent.edit("create", "moved/b.txt", file_text="whole\n")
    assert made.text.startswith("Done: moved/b.txt (overwritten)")
    await agent.run("echo x >> a.txt")
    refused = await agent.edit("create", "a.txt", file_text="whole\n")
    assert "has changed since you read it" in refused.text


async def test_new_errors_of_syntax_are_told_by_file(agent: Agent) -> None:
    """They forbid nothing."""
    done = await agent.patch(THREE.replace("VALUE = 1", "VALUE ="))

    assert "sub/deep/new.py line 1: invalid syntax" in done.text


async def test_modes_of_a_diff_are_kept_and_changed(agent: Agent) -> None:
    """A new file may be executable, and one that is keeps its mode."""
    await agent.patch(
        "diff --git a/run b/run\nnew file mode 100755\n--- /dev/null\n+++ b/run\n"
        "@@ -0,0 +1 @@\n+#!/bin/sh\n"
    )
    await agent.patch("--- a/run\n+++ b/run\n@@ -1 +1,2 @@\n #!/bin/sh\n+echo hello\n")

    assert (await agent.run("./run")).text == "hello\n[exit code 0]"
    entry = await agent.job.store.entry_at(agent.at, "run")
    assert entry is not None
    assert entry.mode == "100755"
    await agent.patch("diff --git a/run b/run\nold mode 100755\nnew mode 100644\n")
    assert not os.access(agent.path / "run", os.X_OK) or os.geteuid() == 0
    entry = await agent.job.store.entry_at(agent.at, "run")
    assert entry is not None
    assert entry.mode == "100644"


@pytest.mark.parametrize("path", ["../x", "/etc/x", ".git/hooks/pre-commit", "sub/.git/config"])
async def test_a_path_that_is_not_open_to_tools_is_denied(agent: Agent, path: str) -> None:
    """Whatever else the patch does."""
    told = await agent.patch(THREE.replace("sub/deep/new.py", path))

    assert told.result.outcome is ToolOutcome.DENIED
    assert (agent.path / "a.txt").read_text() == "one\n"


async def test_a_symbolic_link_is_not_followed(agent: Agent) -> None:
    """The refusal names its target, and no file of the patch is changed."""
    await agent.run("mkdir real; echo x > real/f; ln -s real link")
    told = await agent.patch(THREE.replace("sub/deep/new.py", "link/new.py"))

    assert "Error: 'link' is a symbolic link to 'real': use 'real/new.py'." in told.text
    assert (agent.path / "a.txt").read_text() == "one\n"


async def test_ignored_files_are_patched_and_told(agent: Agent) -> None:
    """They are no part of the checkpoint; the others are."""
    await agent.run("echo '*.log' > .gitignore")
    told = await agent.patch(THREE.replace("sub/deep/new.py", "x.log"))

    assert "x.log is ignored by git, so it will not be part of the patch." in told.text
    assert "x.log" not in await agent.files()
    assert (await agent.files())["a.txt"] == b"ONE\n"
    assert (agent.path / "x.log").read_text() == "VALUE = 1\n"


async def test_undeclared_paths_of_a_patch_are_told(agent: Agent) -> None:
    """Each by its own claim."""
    scope = WriteScope(
        writes=("a.txt", "moved/**", "b.txt"), claims=(Claim(task="cli", writes=("sub/**",)),)
    )
    call = await agent.call("apply_patch", patch=THREE)
    result = await agent.make(call.model_copy(update={"scope": scope}))
    told = await reply_text(agent.job.store, result)

    assert told.count("not among the paths") == 1
    assert "task 'cli' writes it too" in told


async def test_a_file_that_cannot_be_written_restores_the_others(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files, modes and folders are as before, and a later attempt finds them so."""
    await agent.run("chmod 755 a.txt")
    write = ConfinedFiles.write

    def refusing(
        files: ConfinedFiles, path: str, data: bytes, *, mode: int | None = None
    ) -> FileState:
        if path == "moved/b.txt":
            raise PathRefused("Permission denied: 'moved/b.txt'.")
        return write(files, path, data, mode=mode)

    with monkeypatch.context() as broken:
        broken.setattr(ConfinedFiles, "write", refusing)
        told = await agent.patch(THREE)

    assert told.text == "Error: Permission denied: 'moved/b.txt'. Nothing was changed."
    assert (agent.path / "a.txt").stat().st_mode & 0o777 == 0o755
    assert {p.name for p in agent.path.iterdir()} == {".git", "a.txt", "b.txt"}
    assert (agent.path / "b.txt").read_text() == "two\n"
    assert (await agent.patch(THREE)).result.outcome is ToolOutcome.DONE


async def test_a_file_that_does_not_hold_what_was_written_restores_the_others(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is read again before the call is answered."""
    write = ConfinedFiles.write

    def losing(
        files: ConfinedFiles, path: str, data: bytes, *, mode: int | None = None
    ) -> FileState:
        return write(files, path, data.replace(b"TWO", b"TW"), mode=mode)

    with monkeypatch.context() as broken:
        broken.setattr(ConfinedFiles, "write", losing)
        told = await agent.patch(THREE)

    assert "'moved/b.txt' does not hold what was written to it. Nothing was changed." in told.text
    assert (agent.path / "a.txt").read_text() == "one\n"
    assert (agent.path / "b.txt").read_text() == "two\n"


KILLED = """
    import asyncio, os, signal, sys
    from pathlib import Path
    from temporalio.testing import ActivityEnvironment
    from activities.tools.dispatch import WorktreeTools
    from contracts.tools import ToolCall
    from infra.commands import CommandRunner
    from infra.files.confined_files import ConfinedFiles
    from infra.sandbox import Sandbox
    from infra.store.open_stores import OpenStores
    from infra.worktrees.open_pools import OpenPools

    home = Path(sys.argv[1])
    written, write = [], ConfinedFiles.write

    def dying(files, path, data, *, mode=None):
        if len(written) == int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
        written.append(path)
        return write(files, path, data, mode=mode)

    async def main() -> None:
        ConfinedFiles.write = dying
        stores = OpenStores(home / "stores")
        uid_base = 60_000 if os.geteuid() == 0 else None
        pools = OpenPools(stores, home / "worktrees", host_id="test-host", uid_base=uid_base)
        tools = WorktreeTools(
            stores, pools, CommandRunner(Sandbox(), hide=(home,)), redact=str,
            recall=home / "recall",
        )
        call = ToolCall.model_validate_json(sys.stdin.read())
        await ActivityEnvironment().run(tools.call_tool, call)

    asyncio.run(main())
"""


def killed_worker(home: Path, call: ToolCall, *, written: int) -> int:
    """Make a call as a worker would that is killed once so many files are written."""
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(home), str(written)],
        cwd=ROOT,
        input=call.model_dump_json().encode(),
        check=False,
    )
    return ended.returncode


@pytest.mark.minutes
@pytest.mark.parametrize("written", [0, 1, 2])
async def test_a_worker_killed_between_two_files_of_a_patch(
    env: ActivityEnv, agent: Agent, written: int
) -> None:
    """The repeated call starts from the checkpoint: the whole patch is there, once."""
    call = await agent.call("apply_patch", patch=THREE)
    assert killed_worker(env.home, call, written=written) == -9
    assert (agent.path / "a.txt").read_text() == ("one\n" if written == 0 else "ONE\n")
    assert not (agent.path / "b.txt").exists()  # what goes, goes first

    result = await agent.make(call)

    assert result.outcome is ToolOutcome.DONE
    agent.at = result.checkpoint or ""
    assert await agent.files() == {
        "a.txt": b"ONE\n", "moved/b.txt": b"TWO\n", "sub/deep/new.py": b"VALUE = 1\n",
    }  # fmt: skip
    assert await agent.make(call) == result


async def test_several_edits_of_a_file_are_one_call(agent: Agent) -> None:
    """In order, each on what the one before made; all of them or none."""
    edits = [{"old_str": "one", "new_str": "1"}, {"old_str": "1", "new_str": "uno"}]
    done = await agent.edit("str_replace", "a.txt", edits=edits)

    assert done.text == "Done: a.txt (exact).\n--- a/a.txt\n+++ b/a.txt\n@@ -1 +1 @@\n-one\n+uno"
    failed = await agent.edit(
        "str_replace",
        "a.txt",
        edits=[{"old_str": "uno", "new_str": "x"}, {"old_str": "zz", "new_str": ""}],
    )
    assert failed.text.startswith("Error: Nothing was changed: edit 2 of 2: No match found")
    assert (agent.path / "a.txt").read_text() == "uno\n"
    both = await agent.edit("str_replace", "a.txt", old_str="uno", new_str="x", edits=edits)
    assert "takes old_str and new_str, or edits, not both" in both.text
    assert "edits is empty" in (await agent.edit("str_replace", "a.txt", edits=[])).text


async def test_undo_takes_the_last_edit_back_and_then_the_one_before(agent: Agent) -> None:
    """Each once; a file that the edit made is gone, and nothing is left to undo at last."""
    beginning = await agent.files()
    await agent.edit("str_replace", "a.txt", old_str="one", new_str="1")
    await agent.patch(THREE.replace("-one", "-1"))

    first = await agent.edit("undo_edit", "a.txt")
    assert first.text == (
        "Done: your last edit of a.txt is undone, and with it that of b.txt, moved/b.txt, "
        "sub/deep/new.py."
    )
    assert await agent.files() == {**beginning, "a.txt": b"1\n"}
    assert not (agent.path / "sub").exists()
    await agent.edit("undo_edit", "a.txt")
    assert await agent.files() == beginning
    last = await agent.edit("undo_edit", "a.txt")
    assert last.text == "Error: a.txt has no edit of yours that is not undone already."


async def test_a_repeated_undo_undoes_once(agent: Agent) -> None:
    """As every call that changes files."""
    await agent.edit("str_replace", "a.txt", old_str="one", new_str="1")
    await agent.edit("str_replace", "a.txt", old_str="1", new_str="2")
    call = await agent.call("edit", command="undo_edit", path="a.txt")
    first = await agent.make(call)

    assert await agent.make(call) == first
    agent.at = first.checkpoint or ""
    assert (await agent.files())["a.txt"] == b"1\n"


async def test_what_changed_since_an_edit_is_not_undone(agent: Agent) -> None:
    """By a command, or by a later edit of another file of the same patch."""
    await agent.patch(THREE)
    await agent.run("echo more >> moved/b.txt")
    told = await agent.edit("undo_edit", "a.txt")

    assert told.text.startswith("Error: moved/b.txt has changed since that edit")
    assert (await agent.files())["a.txt"] == b"ONE\n"


async def test_an_undo_keeps_modes_and_says_nothing_of_commands(agent: Agent) -> None:
    """What a command changed is no edit."""
    await agent.run("printf '#!/bin/sh\\n' > tool; chmod +x tool")
    assert "no edit of yours" in (await agent.edit("undo_edit", "tool")).text
    await agent.view("tool")
    await agent.edit("insert", "tool", insert_line=1, insert_text="echo x")
    await agent.edit("undo_edit", "tool")

    assert (agent.path / "tool").stat().st_mode & 0o111
    assert (await agent.files())["tool"] == b"#!/bin/sh\n"
