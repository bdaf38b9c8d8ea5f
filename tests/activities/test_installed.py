"""What a person's checkout has installed is there for agents and checks, and never changed."""

import base64
import hashlib
import json
import os
import shutil
import sys
import venv
from pathlib import Path

import pytest

from contracts.baseline import Survey
from contracts.repository import Environment
from tests.activities.test_survey import looked_up, surveyed
from tests.infra.bench import ENVIRONMENT, ActivityEnv
from tests.local_deployment import commit

LOCK = '{"lockfileVersion": 3}\n'
GREETING = "module.exports = 'installed'\n"


def written(folder: Path, files: dict[str, str]) -> None:
    """Write files below a folder."""
    for path, content in files.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


@pytest.fixture
def checkout(env: ActivityEnv) -> Path:
    """A checkout with a package in `node_modules`, which git ignores."""
    written(
        env.person,
        {
            ".gitignore": "node_modules/\n.venv/\ncache/\n",
            "package.json": json.dumps({"name": "shop", "private": True}),
            "package-lock.json": LOCK,
            "web/package.json": "{}",
        },
    )
    commit(env.person, "a package")
    written(
        env.person,
        {"node_modules/greet/index.js": GREETING, "web/node_modules/b/index.js": "b\n"},
    )
    return env.person


def virtual_environment(folder: Path, *, name: str = "installed_here") -> None:
    """Make a virtual environment with one module and one program."""
    venv.create(folder, symlinks=True)
    library = folder / f"lib/python3.{sys.version_info.minor}/site-packages"
    written(library, {f"{name}.py": "x = 1\n", f"{name}-1.dist-info/METADATA": f"Name: {name}\n"})
    program = folder / "bin/own-program"
    program.write_text(f"#!{folder / 'bin/python'}\nimport {name}; print({name}.__name__)\n")
    program.chmod(0o755)


async def notes(env: ActivityEnv, environment: Environment = ENVIRONMENT) -> str:
    """Open a request, and return what its person is told."""
    job = await env.open(environment=environment)
    return "\n".join(job.opened.notes)


@pytest.mark.usefixtures("checkout")
async def test_agents_and_checks_find_installed_packages(env: ActivityEnv) -> None:
    """At the top and in a folder of the repository; no patch and no status shows them."""
    job = await env.open()
    agent = await job.agent()
    cat = "cat node_modules/greet/index.js web/node_modules/b/index.js"
    assert (await agent.run(cat)).text.startswith(f"{GREETING}b\n")
    assert (await agent.run("git status --short")).text == "[exit code 0]"
    report = await job.check(job.base, cat)
    assert report.passed
    assert "Commands also find here what your checkout has: node_modules, web/node_modules." in (
        job.opened.notes
    )


async def test_what_an_agent_writes_there_stays_its_own(env: ActivityEnv, checkout: Path) -> None:
    """The agent's later commands find it; the checkout, another agent and checks do not. It is in
    no patch and gone with the lease.
    """
    job = await env.open()
    first, other = await job.agent("a"), await job.agent("b")
    await first.run("mkdir node_modules/.cache; echo made > node_modules/.cache/x")
    assert (await first.run("cat node_modules/.cache/x")).text == "made\n[exit code 0]"

    assert first.at == job.base
    assert (await other.run("ls -A node_modules")).text == "greet\n[exit code 0]"
    assert [each.name for each in (checkout / "node_modules").iterdir()] == ["greet"]
    assert (await job.check(job.base, "test ! -e node_modules/.cache")).passed
    pool = await job.pool()
    await pool.release(first.lease.worktree, first.lease.epoch)
    assert not list((env.home / "worktrees").rglob(f"{first.lease.worktree}.changes"))


async def test_packages_of_another_lock_file_are_named(env: ActivityEnv, checkout: Path) -> None:
    """A lock file that differs between checkout and base is told to the person and to agents."""
    assert "install again" not in await notes(env)
    (checkout / "package-lock.json").write_text('{"lockfileVersion": 2}\n')
    job = await env.open(request="request/two", branch="two")

    sentence = (
        "node_modules may hold other packages than the base needs, because package-lock.json "
        "differs in the checkout"
    )
    assert f"{sentence}: install again." in job.opened.notes
    survey = await job.store.get_blob((await surveyed(job)).survey)
    assert sentence in Survey.model_validate_json(survey).dependencies


async def test_a_repository_s_own_environment_is_used_by_itself(
    env: ActivityEnv, checkout: Path
) -> None:
    """`python` and a program of `.venv` run by name and by path, and the person is told which
    interpreter that is; a check by its path is not refused.
    """
    virtual_environment(checkout / ".venv")
    other = env.folder / "other-env"
    virtual_environment(other, name="elsewhere")
    active = Environment(path=f"{other / 'bin'}:{ENVIRONMENT.path}", virtual_env=str(other))
    commands = (
        "own-program | grep installed_here",
        ".venv/bin/python -c 'import installed_here'",
        "python -c 'import installed_here'",
        "test $VIRTUAL_ENV = " + str(checkout / ".venv"),
        "! touch .venv/x",
    )
    job = await env.open(checks=commands, environment=active)

    report = await job.check(job.base, *commands)

    assert [each.passed for each in report.results] == [True] * len(commands)
    version = ".".join(map(str, sys.version_info[:3]))
    assert f"Commands use .venv of your checkout: Python {version}, 1 packages." in job.opened.notes
    assert f"The active environment {other} is not used: the repository has its own." in (
        job.opened.notes
    )


async def test_a_check_of_a_program_that_is_not_installed_is_refused(
    env: ActivityEnv, checkout: Path
) -> None:
    """Nothing is opened, and the sentence names the program."""
    virtual_environment(checkout / ".venv")
    for command in (".venv/bin/pytest -q", "node_modules/.bin/jest"):
        with pytest.raises(Exception, match=r"there is no '\S+' in the repository"):
            await env.open(checks=(command,))
    (checkout / "mine.sh").write_text("#!/bin/sh\n")
    (checkout / "mine.sh").chmod(0o755)
    with pytest.raises(Exception, match=r"there is no './mine.sh' in the repository"):
        await env.open(checks=("./mine.sh",))
    assert env.made() == []


async def test_folders_of_the_include_file_are_there(env: ActivityEnv, checkout: Path) -> None:
    """Patterns name ignored folders from the top; a line that names none is told."""
    written(checkout, {"cache/build/a": "a\n", "cache/b/c": "c\n"})
    include = "# caches\n/*/build/\n.env\n../up\nweb\n!x\n"
    written(checkout, {".worktreeinclude": include})
    job = await env.open()
    agent = await job.agent()

    assert (await agent.run("cat cache/build/a; ls cache; ls .env 2>&1; true")).text == (
        "a\nbuild\nls: cannot access '.env': No such file or directory\n[exit code 0]"
    )
    told = "\n".join(job.opened.notes)
    for problem in (
        "'.env' names nothing in the checkout",
        "'../up' is not understood",
        "'web' holds files of the base",
        "'!x' is not understood",
    ):
        assert f".worktreeinclude: {problem}." in told


@pytest.mark.every_user
async def test_files_of_the_include_file_are_there_and_in_no_patch(
    env: ActivityEnv, checkout: Path
) -> None:
    """Also those that git does not ignore, and in a folder that only they have; what a command
    changes in one is its own. A file of the base, a large one and a link are told, and not there.
    """
    written(
        checkout,
        {
            ".env": "TOKEN=1\n",
            "config/own/key": "key\n",
            "cache/x": "x\n",
            "package.json": "{}",
            ".worktreeinclude": ".env\nconfig/*/key\ncache/x\npackage.json\nlarge\nlink\n",
        },
    )
    with (checkout / "large").open("wb") as file:
        file.truncate(30_000_000)
    (checkout / "link").symlink_to("/etc/passwd")
    job = await env.open()
    agent, other = await job.agent("a"), await job.agent("b")

    show = "cat .env config/own/key cache/x"
    assert (await agent.run(show)).text == "TOKEN=1\nkey\nx\n[exit code 0]"
    assert (await job.check(job.base, show, "test ! -e large -a ! -e link")).passed
    await agent.run("echo mine > .env; echo made > made.txt")
    assert (await agent.run("cat .env")).text == "mine\n[exit code 0]"
    assert (await other.run("cat .env")).text == "TOKEN=1\n[exit code 0]"
    assert (checkout / ".env").read_text() == "TOKEN=1\n"
    assert set(await agent.files()) - set(await other.files()) == {"made.txt"}
    patch = await job.patch(agent.at)
    assert patch.files == 1
    pool = await job.pool()
    await pool.release(agent.lease.worktree, agent.lease.epoch)
    told = "\n".join(job.opened.notes)
    assert "Commands also find here what your checkout has: " in told
    assert "config/own/key" in told
    for problem in (
        "'package.json' holds files of the base",
        "'large' is larger than 20 MB",
        "'link' leads out of the checkout",
    ):
        assert f".worktreeinclude: {problem}." in told


async def test_a_changed_file_of_the_include_file_is_checked_anew(
    env: ActivityEnv, checkout: Path
) -> None:
    """A check of a later request is not answered by what it came to with other content."""
    written(checkout, {".env": "one\n", ".worktreeinclude": ".env\n"})
    job = await env.open()
    assert (await job.check(job.base, "grep one .env")).passed
    written(checkout, {".env": "two\n"})
    job = await env.open(request="request/two", branch="two")
    assert not (await job.check(job.base, "grep one .env")).passed


async def test_no_file_of_the_include_file_replaces_one_of_an_agent(
    env: ActivityEnv, checkout: Path
) -> None:
    """Nor is it written through a link that stands in the place of its folder."""
    written(checkout, {"own/key": "key\n", ".env": "e\n", ".worktreeinclude": "own/key\n.env\n"})
    agent = await (await env.open()).agent()
    await agent.edit("create", ".env", file_text="of the agent\n")
    await agent.run("rm -rf own && ln -s /tmp own; true")
    told = await agent.run("rm -f /tmp/key; cat .env; ls /tmp/key 2>/dev/null; ls own/key; true")
    assert told.text.startswith("of the agent\n")
    assert not Path("/tmp/key").exists()


async def test_no_link_of_the_checkout_shows_what_lies_elsewhere(
    env: ActivityEnv, checkout: Path
) -> None:
    """Whether the base holds the link or not, in the place of installed packages or named in the
    include file: agents do not see where it leads.
    """
    private = env.folder / "private"
    written(private, {"key": "key\n", "sub/key": "key\n"})
    shutil.rmtree(checkout / "node_modules")
    shutil.rmtree(checkout / "web/node_modules")
    (checkout / "held").symlink_to(private)
    commit(checkout, "a link")
    for place in ("node_modules", "web/node_modules", "mine"):
        (checkout / place).symlink_to(private)
    written(checkout, {".worktreeinclude": "held\nheld/sub\nmine\nm*/sub\n"})
    job = await env.open()
    agent = await job.agent()

    line = "cat */key */*/key node_modules/key web/node_modules/key mine/key 2>/dev/null; true"
    assert (await agent.run(line)).text == "[exit code 0]"
    told = "\n".join(job.opened.notes)
    assert "'held' holds files of the base" in told
    for path in ("held/sub", "mine", "mine/sub"):
        assert f"'{path}' leads out of the checkout" in told


async def test_an_environment_that_was_committed_is_not_used(
    env: ActivityEnv, checkout: Path
) -> None:
    """What the links and the configuration of a hostile one lead to is not shown to commands."""
    private = env.folder / "private"
    written(private, {"key": "key\n"})
    (checkout / ".gitignore").unlink()
    virtual_environment(checkout / ".venv")
    (checkout / ".venv/bin/tool").symlink_to(private / "key")
    commit(checkout, "an environment")
    line = f'cat {private}/key .venv/bin/tool 2>/dev/null; echo "env:$VIRTUAL_ENV"'
    for request in ("committed", "in HEAD alone"):
        job = await env.open(
            request=f"request/{request.split()[0]}",
            branch=request.split()[0],
            base="HEAD~1" if "HEAD" in request else None,
        )
        assert (await (await job.agent()).run(line)).text == "env:\n[exit code 0]"
        assert "Commands use" not in "\n".join(job.opened.notes)


async def test_an_environment_without_its_interpreter_is_not_used(
    env: ActivityEnv, checkout: Path
) -> None:
    """Its configuration names a folder that holds none."""
    virtual_environment(checkout / ".venv")
    (checkout / ".venv/pyvenv.cfg").write_text(f"home = {env.folder}\nversion = 3.11.7\n")
    assert ".venv" not in await notes(env)


async def test_caches_of_package_managers_are_found_in_home(
    env: ActivityEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What go fetched is there for a project of go's, other caches and settings are not; a command
    adds to it for its agent alone.
    """
    home = env.folder / "users-home"
    written(home, {"go/pkg/mod/m/a.go": "package m\n", ".cargo/registry/x": "x", ".netrc": "key"})
    monkeypatch.setenv("HOME", str(home))
    written(env.person, {"go.mod": "module example.org/shop\n"})
    commit(env.person, "a module")
    job = await env.open()
    agent = await job.agent()

    assert "Commands also find packages that were fetched to ~/go/pkg/mod." in job.opened.notes
    line = "cat ~/go/pkg/mod/m/a.go; ls -A ~; touch ~/go/pkg/mod/new && echo $GOPROXY"
    assert (await agent.run(line)).text == "package m\ngo\noff\n[exit code 0]"
    assert (await agent.run("ls ~/go/pkg/mod")).text == "m\nnew\n[exit code 0]"
    assert [each.name for each in (home / "go/pkg/mod").iterdir()] == ["m"]


async def test_a_planned_command_of_the_checkouts_environment_is_looked_up(
    env: ActivityEnv, checkout: Path
) -> None:
    """A program or module that the environment lacks is named before a task is held to it."""
    without = await looked_up(
        await env.open(request="request/without", environment=ENVIRONMENT), ".venv/bin/ruff check ."
    )
    virtual_environment(checkout / ".venv")
    job = await env.open(request="request/with", branch="with", environment=ENVIRONMENT)

    assert without == ("",)
    assert await looked_up(
        job,
        *(".venv/bin/own-program", ".venv/bin/python -m installed_here"),
        *(".venv/bin/ruff check .", "./.venv/bin/python -m black --check ."),
    ) == (
        *("", "", "there is no `.venv/bin/ruff`"),
        "`./.venv/bin/python` has no module `black`",
    )


async def test_commands_use_the_version_that_the_repository_asks_for(
    env: ActivityEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node of nvm's is found by a check that names it, also where the PATH has none, and the
    notes say which; nothing else of the home is shown.
    """
    home = env.folder / "users-home"
    node = ".nvm/versions/node/v20.11.0"
    written(
        home,
        {f"{node}/bin/node": "#!/bin/sh\necho v20.11.0\n", f"{node}/lib/node_modules/a": "a"}
        | {".nvm/private": "key", ".netrc": "key"},
    )
    (home / node / "bin" / "node").chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    written(env.person, {".nvmrc": "20\n"})
    commit(env.person, "a version")

    job = await env.open(checks=("node --version",), environment=Environment(path="/usr/bin:/bin"))
    agent = await job.agent()

    told = "Commands use node 20.11.0 of nvm, as .nvmrc asks for 20."
    assert told in job.opened.notes
    assert (await agent.run("node --version")).text == "v20.11.0\n[exit code 0]"
    assert "key" not in (await agent.run(f"cat {home}/.nvm/private {home}/.netrc")).text


async def test_poetrys_environment_is_used_by_itself(
    env: ActivityEnv, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lies in poetry's cache, and is named by the checkout's path; the notes say what it has."""
    written(checkout, {"pyproject.toml": '[tool.poetry]\nname = "shop"\n'})
    commit(checkout, "a project of poetry's")
    cache = env.folder / "cache"
    monkeypatch.setenv("POETRY_CACHE_DIR", str(cache))
    digest = hashlib.sha256(os.path.realpath(checkout).encode()).digest()
    name = f"shop-{base64.urlsafe_b64encode(digest).decode()[:8]}-py3.11"
    virtual_environment(cache / "virtualenvs" / name)

    job = await env.open()
    agent = await job.agent()

    version = ".".join(map(str, sys.version_info[:3]))
    used = cache / "virtualenvs" / name
    assert f"Commands use the environment {used}: Python {version}, 1 packages." in job.opened.notes
    assert (await agent.run("own-program")).text == "installed_here\n[exit code 0]"
    await agent.run(f"touch {used}/x")
    assert not (used / "x").exists()


async def test_a_cache_that_lacks_a_module_needs_a_setup(
    env: ActivityEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What go fetched for other projects is no reason to leave out what go.sum names."""
    home = env.folder / "users-home"
    written(home, {"go/pkg/mod/example.org/other@v1.0.0/a.go": "package a\n"})
    monkeypatch.setenv("HOME", str(home))
    written(env.person, {"go.mod": "module shop\n", "go.sum": "example.org/mine v1.2.0 h1:x=\n"})
    written(env.person, {".orchestcode/settings.json": '{"setup": ["go mod download"]}'})
    commit(env.person, "a module")

    lacking = await env.open(request="request/lacking", branch="lacking")
    written(home, {"go/pkg/mod/example.org/mine@v1.2.0/a.go": "package a\n"})
    there = await env.open(request="request/there", branch="there")

    assert lacking.opened.setup is not None
    assert lacking.opened.setup.rule.commands == ("go mod download",)
    assert there.opened.setup is None
