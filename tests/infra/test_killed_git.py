"""A git that was killed gives no verdict and no answer for an agent."""

import shlex
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

from contracts.failures import FailureKind
from infra.files import ripgrep
from infra.git import command as git_command
from infra.git.command import git_binary
from tests.infra.bench import ActivityEnv, Agent

KILLED = "kill -9 $$"
CHILD_KILLED = "echo 'fatal: the remote end hung up unexpectedly' >&2; exit 128"
"""What git says when the git at the other end was killed."""
ALWAYS = 1_000


class Victim:
    """A git whose command of one kind is killed or fails the first few times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self._patch = monkeypatch
        self._left = folder / "left"
        self._script = folder / "git"

    def of(self, command: str, end: str, *, times: int) -> None:
        """Let a command end in this way so many times."""
        left = shlex.quote(str(self._left))
        self._left.write_text("x" * times)
        self._script.write_text(
            f"#!/bin/sh\ncase \" $* \" in *' {command} '*)\n"
            f"  if [ -s {left} ]; then sed -i 's/x//' {left}; {end}; fi;;\nesac\n"
            f'exec {shlex.quote(git_binary())} "$@"\n'
        )
        self._script.chmod(0o755)
        self._patch.setattr(git_command, "git_binary", lambda: str(self._script))


@pytest.fixture
def victim(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Victim:
    """A git that is killed."""
    return Victim(monkeypatch, tmp_path)


@pytest.mark.parametrize("end", [KILLED, CHILD_KILLED], ids=["git", "its child"])
async def test_a_repository_is_not_refused_because_git_was_killed(
    env: ActivityEnv, victim: Victim, end: str
) -> None:
    """Git, or the git that it asks, is killed while it looks: it looks again."""
    victim.of("ls-remote", end, times=1)
    job = await env.open()
    assert job.opened.base_name == "main"


async def test_a_git_that_is_killed_again_and_again_is_tried_later(
    env: ActivityEnv, victim: Victim
) -> None:
    """The kernel may have no memory for it: a failure of the store, retried, never a refusal."""
    victim.of("ls-remote", KILLED, times=ALWAYS)
    with pytest.raises(ApplicationError) as caught:
        await env.open()
    assert (caught.value.type, caught.value.non_retryable) == (FailureKind.STORE, False)


async def test_an_error_that_git_repeats_is_a_refusal(env: ActivityEnv, victim: Victim) -> None:
    """A repository that git cannot read is refused with git's message, at once."""
    victim.of("ls-remote", "echo 'fatal: bad object HEAD' >&2; exit 128", times=ALWAYS)
    with pytest.raises(ApplicationError) as caught:
        await env.open()
    assert caught.value.type == FailureKind.REFUSED
    assert caught.value.message.endswith("bad object HEAD")


async def test_a_killed_search_is_no_answer_for_an_agent(agent: Agent, victim: Victim) -> None:
    """The search fails as a whole and is made again; its next attempt finds what there is."""
    await agent.edit("create", "straw.txt", file_text="the needle\n")
    victim.of("ls-files", KILLED, times=1)
    with pytest.raises(ApplicationError) as caught:
        await agent.search("needle")
    assert (caught.value.type, caught.value.non_retryable) == (FailureKind.STORE, False)
    assert (await agent.search("needle")).text == "straw.txt:1:the needle"


async def test_a_killed_ripgrep_is_no_answer_for_an_agent(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nor is one that dies while it searches: the call is made again."""
    await agent.edit("create", "straw.txt", file_text="the needle\n")
    script = tmp_path / "rg"
    script.write_text("#!/bin/sh\nkill -9 $$\n")
    script.chmod(0o755)
    with monkeypatch.context() as killed:
        killed.setattr(ripgrep, "_installed", lambda: str(script))
        with pytest.raises(ApplicationError) as caught:
            await agent.search("needle")

    assert (caught.value.type, caught.value.non_retryable) == (FailureKind.STORE, False)
    assert (await agent.search("needle")).text == "straw.txt:1:the needle"
