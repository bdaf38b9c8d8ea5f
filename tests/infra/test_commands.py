"""The user's commands: run with the user's PATH and virtual environment, and nothing else."""

import re
import shutil
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio.exceptions import ApplicationError

from contracts.failures import FailureKind
from contracts.repository import Environment
from infra.commands import CommandRunner, readable, shortened
from infra.sandbox import Sandbox, sandbox
from infra.sandbox.launch import Launch, ProcessExit
from infra.sandbox.process import supervise
from tests.infra.bench import ENVIRONMENT, ActivityEnv, Agent, Job, person, reply_text
from tests.local_deployment import changed, snapshot


def made_environment(place: Path) -> Path:
    """Make a virtual environment without any package."""
    venv.create(place, symlinks=True, with_pip=False)
    return place


def site_packages(place: Path) -> Path:
    """Return where an environment's packages lie."""
    return next(place.glob("lib/python3*/site-packages"))


async def test_the_environment_is_small_and_sensible(env: ActivityEnv, job: Job) -> None:
    """PATH is the user's, HOME an empty folder of the sandbox, LANG is UTF-8; no key
    is inherited.
    """
    agent = await job.agent()
    result = await agent.run('env | sort; ls -A "$HOME"; pwd; locale charmap 2>/dev/null')

    lines = result.text.splitlines()
    names = {line.partition("=")[0] for line in lines if "=" in line}
    assert f"PATH={ENVIRONMENT.path}" in lines
    assert {"HOME=/tmp/home", "LANG=C.UTF-8", "CI=1", "PYTHONDONTWRITEBYTECODE=1"} <= set(lines)
    assert "VIRTUAL_ENV" not in names
    assert names <= {
        *("PATH", "HOME", "LANG", "CI", "USER", "LOGNAME", "PWD", "OLDPWD", "SHLVL", "_"),
        *("PYTHONDONTWRITEBYTECODE", "GIT_CONFIG_SYSTEM"),
        *("CARGO_NET_OFFLINE", "GOPROXY", "GOTOOLCHAIN"),
    }
    assert str(agent.path) in lines


async def test_the_products_data_is_hidden(env: ActivityEnv, job: Job) -> None:
    """Of the home folder a command sees its own worktree and, to read, the store: no other
    worktree, no record, no log, no database.
    """
    first, second = await job.agent("a"), await job.agent("b")
    (env.home / "logs").mkdir()
    (env.home / "logs" / "worker.log").write_text("secret\n")
    store = job.store.path

    result = await first.run(
        f"ls -A {env.home} {env.home}/worktrees/*;"
        f"cat {env.home}/logs/worker.log; ls {second.path}; touch {store}/x {store}/objects/x"
    )

    assert result.outcome == "failed"
    assert "secret" not in result.text
    assert "logs" not in result.text.splitlines()
    assert str(second.path.name) not in result.text.split("\n")[0]
    assert not (store / "x").exists()
    assert not (store / "objects" / "x").exists()


@pytest.fixture(params=["/var/tmp", "/tmp"])
def users_folder(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder of the user, one that a command could see and one that it could not."""
    with tempfile.TemporaryDirectory(dir=request.param, prefix="orchestcode-person-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


async def test_the_users_repository_is_neither_written_nor_needed(
    env: ActivityEnv, users_folder: Path
) -> None:
    """A command cannot change the repository that the request came from, and works
    when it is gone.
    """
    repository = person(users_folder / "project")
    agent = await (await env.open(repository)).agent()
    before = snapshot(repository)

    await agent.run(f"cd {repository} && echo pwned | tee a.txt new.txt .git/config .git/HEAD")

    assert changed(before, snapshot(repository)) == set()
    # The worktree is mounted in its place: what was written there was written here.
    assert await agent.files() == {"a.txt": b"pwned\n", "b.txt": b"b\n"}
    shutil.rmtree(repository)
    assert (await agent.run("git checkout -q -f; git log --format=%s; cat a.txt")).text == (
        "The beginning\none\ntwo\nthree\n[exit code 0]"
    )


async def test_python_of_a_virtual_environment_runs_the_users_tools(env: ActivityEnv) -> None:
    """`python3 -m pytest` of the active virtual environment works, also in the user's own folder,
    beside the repository's files, with packages of its own.
    """
    place = made_environment(env.person / ".venv")
    site = site_packages(place)
    (site / "onlyhere.py").write_text("print('from the environment')\n")
    environment = Environment(path=f"{place / 'bin'}:{ENVIRONMENT.path}", virtual_env=str(place))
    job = await env.open(environment=environment)
    agent = await job.agent()

    own = await agent.run(
        'python3 -m onlyhere; echo "$VIRTUAL_ENV"; python3 -c "import sys; print(sys.prefix)"'
    )
    write = await agent.run(f"touch {site}/x")

    assert own.text == f"from the environment\n{place}\n{place}\n[exit code 0]"
    assert write.outcome == "failed"
    assert sorted(await agent.files()) == ["a.txt", "b.txt"]


async def test_an_editable_install_leads_to_the_worktree(
    env: ActivityEnv, users_folder: Path
) -> None:
    """An environment that points into the user's checkout finds the worktree's files there, and
    nothing that the user has not committed, in either place.
    """
    repository = person(
        users_folder / "project", {"src/package/__init__.py": "VALUE = 'committed'\n"}
    )
    (repository / ".env").write_text("secret\n")
    virtual_env = made_environment(repository / ".venv")
    (site_packages(virtual_env) / "editable.pth").write_text(f"{repository / 'src'}\n")
    environment = Environment(
        path=f"{virtual_env / 'bin'}:{ENVIRONMENT.path}", virtual_env=str(virtual_env)
    )
    job = await env.open(repository, environment=environment)
    agent = await job.agent()
    await agent.view("src/package/__init__.py")
    await agent.edit("str_replace", "src/package/__init__.py", old_str="committed", new_str="mine")

    imported = await agent.run("cd / && python3 -c 'import package; print(package.VALUE)'")
    looked = await agent.run(f"cat {repository}/.env; ls -A {repository}; touch {repository}/x")
    checked = await job.check(agent.at, "python3 -c 'import package; print(package.VALUE)'")

    assert imported.text == "mine\n[exit code 0]"
    assert "secret" not in looked.text
    assert looked.text.splitlines()[1:3] == [".venv", "src"]
    assert not (repository / "x").exists()
    assert checked.results[0].tail.strip() == "mine"
    assert sorted(await agent.files()) == ["src/package/__init__.py"]


async def test_pytest_runs_in_the_sandbox(env: ActivityEnv) -> None:
    """The tests of a worktree are found, run and reported, with the interpreter of these tests."""
    prefix = Path(sys.prefix)
    environment = Environment(path=f"{prefix / 'bin'}:{ENVIRONMENT.path}", virtual_env=str(prefix))
    job = await env.open(environment=environment)
    agent = await job.agent()
    await agent.edit(
        "create",
        "test_it.py",
        file_text="def test_it(tmp_path):\n    (tmp_path / 'x').write_text('ü')\n    assert True\n",
    )

    result = await agent.run("python3 -m pytest -q -p no:cacheprovider test_it.py")

    assert "1 passed" in result.text
    assert sorted(await agent.files()) == ["a.txt", "b.txt", "test_it.py"]


async def test_without_a_sandbox_no_command_runs(env: ActivityEnv, job: Job) -> None:
    """The failure says why, is not retried, and the worktree is restored at the next call."""
    agent = await job.agent()
    runner = env.tools._commands
    env.tools._commands = CommandRunner(Sandbox(), hide=())
    with pytest.raises(ApplicationError) as caught:
        await agent.run("touch ran")
    env.tools._commands = runner

    assert (caught.value.type, caught.value.non_retryable) == (FailureKind.SANDBOX, True)
    assert "no command can run: The sandbox was not probed yet" in caught.value.message
    assert (await agent.run("ls")).text == "a.txt\nb.txt\n[exit code 0]"


async def test_a_worktree_deleted_while_a_command_starts_is_no_fault_of_the_sandbox(
    agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call fails as one to be retried; retried, it finds its files restored and runs."""

    async def supervise_too_late(launch: Launch) -> ProcessExit:
        # As bubblewrap finds it, after the mounts were checked.
        shutil.rmtree(agent.path)
        return await supervise(launch)

    call = await agent.call("run_command", command="cat a.txt")
    with monkeypatch.context() as deleting:
        deleting.setattr(sandbox, "supervise", supervise_too_late)
        with pytest.raises(ApplicationError) as caught:
            await agent.make(call)

    assert (caught.value.type, caught.value.non_retryable) == (FailureKind.STORE, False)
    assert "was deleted: The sandbox does not start" in caught.value.message
    retried = await agent.make(call)
    assert (await reply_text(agent.job.store, retried)).startswith("one\ntwo\nthree\n")


def test_any_output_becomes_readable_text() -> None:
    """Broken UTF-8 and terminal codes do not reach a model; joiners of emoji and scripts do."""
    assert readable(b"\x1b[1mbold\x1b[0m \xff\r\n") == "bold \\xff\n"
    assert readable("👩\u200d💻 a\u200cb".encode()) == "👩\u200d💻 a\u200cb"


def test_a_long_output_is_cut_between_lines() -> None:
    """Whole lines of head and tail stay, and it is said how many are left out and where they are;
    a line is cut only when it alone is too long.
    """
    lines = "".join(f"line {number}\n" for number in range(10_000))
    cut = shortened(lines, whole_in="/tmp/all.txt", limit=1_000)
    head, said, tail = re.split(r"(^….*\n)", cut, flags=re.MULTILINE)
    one = shortened("first\n" + "x" * 100_000 + "\nlast\n", limit=1_000)
    flat = shortened("x" * 100_000, limit=1_000)

    assert lines.startswith(head)
    assert lines.endswith(tail)
    assert head.endswith("\n")
    left_out = 10_000 - head.count("\n") - tail.count("\n")
    assert f"… {left_out:,} lines (" in said
    assert "view or search the whole output in /tmp/all.txt" in said
    assert one == "first\n… 1 lines (100,001 characters) left out …\nlast\n"
    assert flat.startswith("x" * 500 + "\n… 1 lines (98,9")
    assert max(map(len, (cut, one, flat))) < 1_100
    assert shortened("short\n", limit=1_000) == "short\n"
