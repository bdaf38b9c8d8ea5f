"""A setup step installs once, with a network, what every worktree then finds; nothing half-done."""

import asyncio
import base64
import hashlib
import json
import shutil
import socket
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from typing_extensions import override

from activities.setup import SetupSteps
from contracts.failures import FailureKind
from contracts.repository import Environment
from contracts.setup import RunSetup, SetupOrigin, SetupReport, WantedSetup
from runtime.redaction import redactor
from tests.activities.test_installed import written
from tests.infra.bench import ENVIRONMENT, SECRET, ActivityEnv, Agent, Job
from tests.local_deployment import commit
from tests.small_disk import small_disk

LOCK = '{"packages": {"node_modules/greet": {}}}\n'
INSTALLS = "mkdir -p node_modules/greet && echo hello > node_modules/greet/index.js"
"""Does what a package manager does, without one."""
PYTHON = Environment(path=f"{Path(sys.base_prefix, 'bin')}:/usr/bin:/bin")


@pytest.fixture
def project(env: ActivityEnv) -> Path:
    """A checkout with a lock file and nothing installed."""
    written(
        env.person,
        {
            ".gitignore": "node_modules/\n.venv/\n*.so\nbuild/\n*.egg-info/\n",
            "package.json": json.dumps({"name": "shop", "private": True}),
            "package-lock.json": LOCK,
        },
    )
    commit(env.person, "a package")
    return env.person


async def opened(
    env: ActivityEnv,
    *commands: str,
    name: str = "one",
    environment: Environment = ENVIRONMENT,
    base: str | None = None,
) -> Job:
    """Open a request that names the setup on its command line."""
    return await env.open(
        request=f"request/{name}",
        branch=name,
        setup=commands or None,
        environment=environment,
        base=base,
    )


async def ran(job: Job, *, allowed: bool | None = None, by: str = "") -> SetupReport:
    """Run the setup that a request wants, and have its commands find the result."""
    wanted = job.opened.setup
    assert wanted is not None
    request = RunSetup(
        repository=job.opened.repository, commit=job.base, setup=wanted, allowed=allowed, by=by
    )
    report: SetupReport = await ActivityEnvironment().run(job.env.setups.run_setup, request)
    if report.environment:
        place = job.opened.repository.model_copy(update={"environment": report.environment})
        job.opened = job.opened.model_copy(update={"repository": place})
    return report


async def set_up(env: ActivityEnv, *commands: str, **options: Any) -> Job:
    """Open a request and run its setup, which succeeds."""
    job = await opened(env, *commands, **options)
    report = await ran(job)
    assert report.environment, report
    return job


async def said(agent: Agent, line: str) -> str:
    """Return what a command of an agent prints."""
    return (await agent.run(line)).text


def layers(env: ActivityEnv) -> list[str]:
    """Return everything in the home's folder of layers but locks and answers."""
    return sorted(
        each.name
        for each in (env.home / "layers").glob("*")
        if each.suffix != ".lock" and each.name != "answers"
    )


# ---- what comes of it


@pytest.mark.every_user
@pytest.mark.usefixtures("project")
async def test_agents_and_checks_find_what_a_setup_installed(env: ActivityEnv) -> None:
    """It is in no patch; what one agent writes there is its own; the checkout has nothing."""
    job = await set_up(env, INSTALLS)
    agent, other = await job.agent("a"), await job.agent("b")

    line = "cat node_modules/greet/index.js"
    assert await said(agent, line) == "hello\n[exit code 0]"
    assert (await job.check(job.base, line)).passed
    await said(agent, "echo mine > node_modules/greet/index.js; mkdir node_modules/greet/deep")
    assert await said(agent, f"{line}; git status --short") == "mine\n[exit code 0]"
    assert agent.at == job.base
    assert await said(other, f"{line}; ls node_modules/greet") == "hello\nindex.js\n[exit code 0]"
    assert not (env.person / "node_modules").exists()


@pytest.mark.usefixtures("project")
async def test_a_second_request_with_the_same_lock_file_runs_no_setup(env: ActivityEnv) -> None:
    """Also of another clone; another lock file has a setup of its own."""
    # Runs share no folder and no file: the other side of the network counts them.
    with counting() as counted:
        line = f"{counted.line} && {INSTALLS}"
        first = await opened(env, line)
        assert first.opened.setup is not None
        assert not first.opened.setup.installed
        report = await ran(first)
        assert "ran in" in report.notes[0]
        second = await opened(env, line, name="two")
        assert second.opened.setup is not None
        assert second.opened.setup.installed
        again = await ran(second)
        assert again.results == ()
        assert "did not have to run" in again.notes[0]
        assert counted.runs == 1
        written(env.person, {"package-lock.json": LOCK + "\n"})
        commit(env.person, "another lock")
        await set_up(env, line, name="three")
        assert counted.runs == 2


class Counted:
    """How often a setup reached this machine's network, and the command that does."""

    def __init__(self, port: int) -> None:
        self.runs = 0
        self.line = f"exec 3<>/dev/tcp/127.0.0.1/{port} && head -c 2 <&3 >/dev/null"


@contextmanager
def counting() -> Iterator[Counted]:
    """Serve a port that counts who connects."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        counted = Counted(listener.getsockname()[1])

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    counted.runs += 1
                    client.sendall(b"ok")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield counted
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.mark.usefixtures("project")
async def test_two_requests_at_once_run_one_setup(env: ActivityEnv) -> None:
    """The other waits for it and finds the result."""
    with counting() as counted:
        line = f"{counted.line} && sleep 1 && {INSTALLS}"
        jobs = [await opened(env, line, name=name) for name in ("one", "two")]
        reports = await asyncio.gather(*map(ran, jobs))
        assert counted.runs == 1
    assert sorted(len(report.results) for report in reports) == [0, 1]
    for job in jobs:
        assert (await job.check(job.base, "cat node_modules/greet/index.js")).passed


@pytest.mark.usefixtures("project")
async def test_a_setup_that_is_interrupted_leaves_no_layer(env: ActivityEnv) -> None:
    """Not half of one: it runs anew, and what was left beside is removed."""
    half = "mkdir -p node_modules/half && touch node_modules/half/x"
    job = await opened(env, f"{half} && sleep 60")
    running = asyncio.create_task(ran(job))
    worktrees = env.home / "worktrees"
    for _ in range(400):
        if list(worktrees.rglob("half")):
            break
        await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert layers(env) == []
    left = env.home / "layers" / f".draft-{job.opened.setup.layer}-dead"  # type: ignore[union-attr]
    (left / "tree").mkdir(parents=True)

    again = await set_up(env, INSTALLS, name="two")
    await said(await again.agent(), "true")
    assert (await again.check(again.base, "test ! -e node_modules/half")).passed
    async with env.layers.making(job.opened.setup.layer):  # type: ignore[union-attr]
        assert not left.exists()


@pytest.mark.usefixtures("project")
async def test_a_setup_that_fails_says_how_and_installs_nothing(env: ActivityEnv) -> None:
    """The command, its exit code and its output; commands after it do not run."""
    commands = ("mkdir -p node_modules/greet", "echo no such package >&2; exit 7", "touch ran")
    job = await opened(env, *commands)
    report = await ran(job)

    assert report.environment is None
    assert [each.exit_code for each in report.results] == [0, 7]
    assert report.results[-1].tail.strip() == "no such package"
    assert layers(env) == []
    assert report.log is not None
    assert b"$ echo no such package" in await job.store.get_blob(report.log)


# ---- Python


BACKEND = """
import base64, hashlib, os, zipfile
NAME = "shop-1.0-py3-none-any.whl"
FILES = {
    "shop.pth": os.path.abspath("src"),
    "shop-1.0.dist-info/METADATA": "Metadata-Version: 2.1\\nName: shop\\nVersion: 1.0\\n",
    "shop-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    "shop-1.0.dist-info/entry_points.txt": "[console_scripts]\\nshop = shop:main\\n",
}
def build_editable(folder, settings=None, metadata=None):
    with zipfile.ZipFile(os.path.join(folder, NAME), "w") as wheel:
        for name, text in FILES.items():
            wheel.writestr(name, text)
        wheel.writestr("shop-1.0.dist-info/RECORD", "\\n".join(f"{n},," for n in FILES))
    return NAME
def get_requires_for_build_editable(settings=None):
    return []
"""
"""Builds a project's editable wheel without another package, as any build backend does."""

PACKAGE = {
    ".gitignore": ".venv/\n__pycache__/\n",
    "pyproject.toml": """[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "shop"
version = "1.0"
""",
    "backend.py": BACKEND.replace("\\\\n", "\\n"),
    "src/shop/__init__.py": "PRICE = 1\n\ndef main():\n    print('price', PRICE)\n",
}
EDITABLE = "python3 -m venv .venv && .venv/bin/pip install -q --no-index -e ."


@pytest.mark.every_user
async def test_an_editable_install_runs_the_code_of_each_worktree(env: ActivityEnv) -> None:
    """`python` is that of the environment, by name and by path; what an agent changes is what its
    commands, and its program's first line, lead to; another agent's is not.
    """
    written(env.person, PACKAGE)
    commit(env.person, "a package")
    job = await set_up(env, EDITABLE, environment=PYTHON)
    agent, other = await job.agent("a"), await job.agent("b")

    assert await said(agent, "python -c 'import shop; shop.main()'") == "price 1\n[exit code 0]"
    await agent.edit(
        "str_replace", "src/shop/__init__.py", old_str="PRICE = 1", new_str="PRICE = 2"
    )
    lines = "shop; .venv/bin/shop; python -c 'import shop; shop.main()'; cd /tmp; shop"
    assert await said(agent, lines) == "price 2\n" * 4 + "[exit code 0]"
    assert await said(other, "shop") == "price 1\n[exit code 0]"
    assert (await job.check(agent.at, "shop | grep 'price 2'")).passed
    assert (await job.check(job.base, "shop | grep 'price 1'")).passed
    version = ".".join(map(str, sys.version_info[:3]))
    assert any(
        f"Commands use .venv that the setup made: Python {version}" in note
        for note in (await ran(job)).notes
    )


def wheel(folder: Path, name: str) -> None:
    """Write a wheel with one module."""
    files = {
        f"{name}.py": "x = 1\n",
        f"{name}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{name}-1.0.dist-info/WHEEL": (
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    rows = []
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as made:
        for path, text in files.items():
            made.writestr(path, text)
            hashed = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
            rows.append(f"{path},sha256={hashed.decode()},{len(text)}")
        made.writestr(f"{name}-1.0.dist-info/RECORD", "\n".join(rows))


class _Quiet(SimpleHTTPRequestHandler):
    @override
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def package_index(folder: Path) -> Iterator[str]:
    """Serve a package index of one's own on loopback and yield its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}/simple"
        finally:
            server.shutdown()
            thread.join(5)


async def test_a_setup_reaches_the_person_s_package_index_and_shows_no_secret(
    env: ActivityEnv,
) -> None:
    """By the variables and files of the worker's user; agents and checks are given none of it, and
    no network.
    """
    written(env.person, {".gitignore": ".venv/\n", "requirements.txt": "greeting==1.0\n"})
    commit(env.person, "a package")
    wheel(env.folder / "index/simple/greeting", "greeting")
    with package_index(env.folder / "index") as address:
        password = "correcthorse"
        env.setups = with_environ(
            env, PIP_INDEX_URL=f"http://me:{password}@{address}", OTHER="not a package manager's"
        )
        line = "python3 -m venv .venv && .venv/bin/pip install -v -r requirements.txt"
        job = await opened(env, line, "env; cat ~/.npmrc", environment=PYTHON)
        report = await ran(job)
        agent = await job.agent()
        shown = await said(
            agent, f"env; cat ~/.npmrc; (exec 3<>/dev/tcp/{address[:-7].replace(':', '/')})"
        )

    assert report.environment, report.results
    assert report.log is not None
    output = (await job.store.get_blob(report.log)).decode()
    assert "PIP_INDEX_URL=http://" in output
    assert "OTHER" not in output
    assert password not in output + "".join(each.tail for each in report.results)
    assert "PIP_INDEX_URL" not in shown
    assert "Connection refused" in shown
    assert (await job.check(job.base, "python -c 'import greeting'")).passed
    assert password not in json.dumps(report.model_dump(mode="json"))


def with_environ(env: ActivityEnv, **variables: str) -> SetupSteps:
    """Return the setup activity of a worker with these variables."""
    return SetupSteps(
        env.stores,
        env.pools,
        env.runner,
        env.layers,
        redactor=lambda secrets: redactor((SECRET, *secrets)),
        environ=variables,
    )


# ---- what is kept of it


@pytest.mark.usefixtures("project")
async def test_only_what_git_ignores_is_kept(env: ActivityEnv) -> None:
    """Single files that a build left between the sources are there too; what git would take into
    a patch is not, and the person is told.
    """
    line = (
        "mkdir -p node_modules/a build lib && echo a > node_modules/a/x && echo b > build/b"
        " && echo so > lib/fast.so && echo new > lib/new.py && echo '{}' > package.json"
    )
    written(env.person, {"lib/slow.py": "x\n"})
    commit(env.person, "a library")
    job = await opened(env, line)
    report = await ran(job)
    agent = await job.agent()

    assert await said(agent, "cat build/b lib/fast.so; ls lib; git status --short") == (
        "b\nso\nfast.so\nslow.py\n[exit code 0]"
    )
    assert agent.at == job.base
    assert (await job.check(job.base, "grep -q shop package.json && cat lib/fast.so")).passed
    await said(agent, "echo rebuilt > lib/fast.so")
    assert await said(agent, "cat lib/fast.so") == "rebuilt\n[exit code 0]"
    assert "The setup wrote lib/new.py, which git does not ignore: not kept." in report.notes
    assert "The setup changed package.json: not kept." in report.notes


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("line", "gone"),
    [
        ("ln -s /etc node_modules", "node_modules"),
        ("mkdir node_modules && ln -s /home/person/.ssh node_modules/keys", "node_modules/keys"),
        ("mkdir -p node_modules/a && ln -s ../../../x node_modules/a/up", "node_modules/a/up"),
        ("mkdir node_modules && ln -s /tmp/home/x node_modules/home", "node_modules/home"),
        ("mkdir node_modules && mkfifo node_modules/fifo", "node_modules/fifo"),
        ("ln -s / build && ln -s /etc/passwd a.so", "build"),
    ],
)
async def test_a_link_out_of_a_layer_is_not_kept(env: ActivityEnv, line: str, gone: str) -> None:
    """Nor anything else that is neither file nor folder; the rest of the folder is."""
    job = await set_up(env, f"{line}; mkdir -p node_modules/b; echo b > node_modules/b/x; true")
    agent = await job.agent()
    await said(agent, "true")
    assert await said(agent, f"ls -d {gone} a.so 2>/dev/null; true") == "[exit code 0]"
    kept = [each for each in (env.home / "layers").rglob("*") if each.is_symlink()]
    assert kept == []
    shutil.rmtree(env.home / "layers")


async def test_what_a_setup_has_built_with_go_is_found_by_every_check(env: ActivityEnv) -> None:
    """Of this setup alone: what the person has built of other projects is not shown."""
    written(env.person, {"go.mod": "module shop\n", "go.sum": "\n"})
    commit(env.person, "a module")
    builds, line = (
        "mkdir -p ~/.cache/go-build && cd $_ && echo built > x",
        "cat ~/.cache/go-build/x",
    )
    await set_up(env, builds)
    job = await set_up(env, "true", name="other")
    assert "No such file" in await said(await job.agent(), line)
    job = await set_up(env, builds, name="two")
    assert await said(await job.agent("b"), line) == "built\n[exit code 0]"
    assert (await job.check(job.base, f"{line} && echo more > ~/.cache/go-build/y")).passed
    assert (await job.check(job.base, "test ! -e ~/.cache/go-build/y")).passed


@pytest.mark.every_user
@pytest.mark.usefixtures("project")
async def test_a_setup_changes_nothing_outside(env: ActivityEnv) -> None:
    """It sees no home, no other worktree and not the checkout, and can write into none of them."""
    for each in (env.person, env.home):
        each.mkdir(exist_ok=True)
        (each / "private").write_text("private")
    line = (
        f"! cat {env.person}/private && ! cat {env.home}/private && ! touch {env.person}/made "
        f"&& ! touch {env.home}/made && ! touch /usr/made && ! touch /run/made && {INSTALLS}"
    )
    await set_up(env, line)
    assert not (env.person / "made").exists()
    assert not (env.home / "made").exists()


@pytest.mark.usefixtures("project")
async def test_a_layer_that_was_removed_is_told(env: ActivityEnv) -> None:
    """No command runs without what it was promised; one that uses a layer keeps it."""
    job = await set_up(env, INSTALLS)
    (layer,) = env.layers.all()
    assert layer.bytes > 0
    assert layer.commands == (INSTALLS,)
    with env.layers.using([layer.name]):
        assert not env.layers.remove(layer.name)
    before = layer.used
    assert (await job.check(job.base, "cat node_modules/greet/index.js")).passed
    assert env.layers.all()[0].used >= before

    assert env.layers.remove(layer.name)
    assert layers(env) == []
    with pytest.raises(Exception, match="what the setup installed is not there any more"):
        await job.check(job.base, "true # again")


# ---- asked


async def wanted(env: ActivityEnv, name: str, **options: Any) -> WantedSetup | None:
    """Open a request that names no setup, and return what it wants."""
    job = await env.open(request=f"request/{name}", branch=name, **options)
    return job.opened.setup


@pytest.fixture
def npm(env: ActivityEnv) -> Environment:
    """A PATH with a package manager that installs by itself."""
    program = env.shown / "bin/npm"
    written(env.shown, {"bin/npm": f"#!/bin/sh\n{INSTALLS}\n"})
    program.chmod(0o755)
    return Environment(path=f"{env.shown / 'bin'}:/usr/bin:/bin")


@pytest.mark.usefixtures("project")
async def test_a_setup_is_detected_and_asked_once_for_a_content(
    env: ActivityEnv, npm: Environment
) -> None:
    """An answer holds for the same lock file and command; another lock file is asked about anew;
    what a person names themselves is not asked.
    """
    job = await env.open(environment=npm)
    found = job.opened.setup
    assert found is not None
    assert (found.ask, found.rule.commands, found.origin) == (
        True,
        ("npm ci",),
        SetupOrigin.DETECTED,
    )
    assert found.because == "package-lock.json is there, what it names is not installed."
    report = await ran(job, allowed=True, by="me")
    assert report.environment
    again = await wanted(env, "two", environment=npm)
    assert again is not None
    assert (again.ask, again.installed) == (False, True)

    written(env.person, {"package-lock.json": LOCK + "\n"})
    commit(env.person, "another lock")
    other = await wanted(env, "three", environment=npm)
    assert other is not None
    assert (other.ask, other.installed) == (True, False)
    assert other.digest != found.digest
    named = await wanted(env, "four", environment=npm, setup=("npm ci",))
    assert named is not None
    assert not named.ask
    assert await wanted(env, "five", environment=npm, setup=()) is None


@pytest.mark.usefixtures("project")
async def test_a_setup_that_a_person_refused_is_not_asked_again(
    env: ActivityEnv, npm: Environment
) -> None:
    """The request goes on without it, and so does the next one, which says so."""
    job = await env.open(environment=npm)
    report = await ran(job, allowed=False, by="me")
    assert report.environment == job.opened.repository.environment
    assert report.notes[-1] == "The setup `npm ci` does not run: me said no."
    assert (await job.check(job.base, "test ! -e node_modules")).passed
    second = await env.open(request="request/two", branch="two", environment=npm)
    assert second.opened.setup is None
    assert second.opened.notes[-1] == (
        "The setup npm ci does not run, as you answered before; --setup runs it."
    )


async def test_what_the_checkout_has_needs_no_setup(
    env: ActivityEnv, project: Path, npm: Environment
) -> None:
    """Until its lock file differs; then the layer stands in the place of what it has."""
    written(project, {"node_modules/greet/index.js": "of the checkout\n"})
    assert await wanted(env, "one", environment=npm) is None
    written(project, {"package-lock.json": LOCK + "\n"})
    job = await env.open(request="request/two", branch="two", environment=npm)
    assert job.opened.setup is not None
    assert job.opened.setup.because == "package-lock.json is another one than in your checkout."
    report = await ran(job, allowed=True)
    assert (await job.check(job.base, "grep hello node_modules/greet/index.js")).passed
    assert "Commands find what the setup installed: node_modules." in report.notes


@pytest.mark.usefixtures("project")
async def test_a_check_of_what_a_detected_setup_will_install_is_not_refused(
    env: ActivityEnv, npm: Environment
) -> None:
    """Once a person has allowed the setup it runs; where none would run it is refused at once."""
    check = "./node_modules/.bin/greet"
    program = "mkdir -p node_modules/.bin && cp /bin/true node_modules/.bin/greet"
    written(env.shown, {"bin/npm": f"#!/bin/sh\n{program}\n"})
    job = await env.open(environment=npm, checks=(check,))
    report = await ran(job, allowed=True)
    assert report.environment
    assert (await job.check(job.base, check)).passed

    refused = r"there is no '.*node_modules/.bin/greet' in the repository"
    others: dict[str, dict[str, Any]] = {
        "without": {"environment": npm, "setup": (), "checks": (check,)},
        "no-npm": {"environment": Environment(path=str(env.shown)), "checks": (check,)},
        "elsewhere": {"environment": npm, "checks": ("./web/node_modules/.bin/greet",)},
    }
    for name, options in others.items():
        with pytest.raises(Exception, match=refused):
            await env.open(request=f"request/{name}", branch=name, **options)
    written(env.person, {"node_modules/other/x": "x\n"})
    with pytest.raises(Exception, match=refused):
        await env.open(request="request/there", branch="there", environment=npm, checks=(check,))


@pytest.mark.usefixtures("project")
@pytest.mark.needs_root
async def test_a_layer_that_finds_no_room_is_not_made(env: ActivityEnv) -> None:
    """The setup fails as a full disk does, so that the request waits; with room it goes on."""
    folder = env.home / "layers"
    folder.mkdir(parents=True, exist_ok=True)
    job = await opened(env, "mkdir node_modules && head -c 400000000 /dev/zero > node_modules/x")
    with small_disk(folder):
        with pytest.raises(ApplicationError) as raised:
            await ran(job)
        assert raised.value.type == FailureKind.DISK
        assert layers(env) == []
    report = await ran(job)
    assert report.environment
    assert (await job.check(job.base, "test -s node_modules/x")).passed


async def test_without_its_package_manager_a_lock_file_is_only_told(
    env: ActivityEnv, project: Path
) -> None:
    """The note says how to go on."""
    (project / "package-lock.json").rename(project / "pnpm-lock.yaml")
    commit(project, "pnpm")
    job = await env.open()
    assert job.opened.setup is None
    assert job.opened.notes[-1] == (
        "What pnpm-lock.yaml names is not installed, and there is no pnpm on the PATH to install "
        "it: install it in your checkout, or name commands that do with --setup."
    )


@pytest.mark.usefixtures("project")
async def test_the_setup_of_the_repository_s_settings_is_asked(env: ActivityEnv) -> None:
    """It is the base's own word, so a person decides; it stands before what is detected."""
    written(env.person, {".orchestcode/settings.json": json.dumps({"setup": [INSTALLS]})})
    commit(env.person, "settings")
    found = await wanted(env, "one")
    assert found is not None
    assert (found.ask, found.origin) == (True, SetupOrigin.SETTINGS)
    assert found.rule.commands == (INSTALLS,)


# ---- a real package manager


@pytest.mark.minutes
@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm")
async def test_npm_installs_what_a_lock_file_names(env: ActivityEnv) -> None:
    """From the registry that this machine's npm uses, whose address no file names; a package's
    install script runs without a way out.
    """
    lock = {
        "name": "shop",
        "lockfileVersion": 3,
        "requires": True,
        "packages": {
            "": {"name": "shop", "dependencies": {"is-odd": "3.0.1", "local": "file:local"}},
            "local": {"hasInstallScript": True},
            "node_modules/is-number": {"version": "6.0.0"},
            "node_modules/is-odd": {
                "version": "3.0.1",
                "dependencies": {"is-number": "^6.0.0"},
            },
            "node_modules/local": {"resolved": "local", "link": True},
        },
    }
    script = f"cat {env.person}/private > out; touch {env.person}/made; true"
    written(
        env.person,
        {
            ".gitignore": "node_modules/\nlocal/out\n",
            "package.json": json.dumps(
                {"name": "shop", "dependencies": {"is-odd": "3.0.1", "local": "file:local"}}
            ),
            "package-lock.json": json.dumps(lock),
            "local/package.json": json.dumps(
                {"name": "local", "version": "1.0.0", "scripts": {"install": script}}
            ),
            "test.js": "if (!require('is-odd')(3)) process.exit(1)\n",
        },
    )
    commit(env.person, "a package")
    (env.person / "private").write_text("private")
    node = str(Path(shutil.which("npm") or "").parent)
    job = await env.open(environment=Environment(path=f"{node}:/usr/bin:/bin"))
    assert job.opened.setup is not None
    assert job.opened.setup.rule.commands == ("npm ci",)
    report = await ran(job, allowed=True)
    assert report.environment, report.results
    assert (await job.check(job.base, "node test.js", "test ! -s local/out")).passed
    assert not (env.person / "made").exists()


# ---- another lock file


async def test_a_patch_that_changes_the_lock_file_has_a_setup_of_its_own(
    env: ActivityEnv, project: Path
) -> None:
    """Asked with the command and the diff; its tree's commands, checks and those of later trees
    with the same lock file find the new layer, the base's the old one.
    """
    install = "mkdir -p node_modules/a && cp package-lock.json node_modules/a/lock"
    job = await set_up(env, install)
    agent = await job.agent()
    await agent.edit("str_replace", "package-lock.json", old_str="greet", new_str="other")
    before = await said(agent, "grep -c greet node_modules/a/lock")
    assert before.startswith("1\n[package-lock.json differs from what is installed here: ")
    patch = await job.patch(agent.at)

    needs = patch.setup
    assert needs is not None
    assert needs.ask
    assert needs.rule.commands == (install,)
    assert needs.because == "the patch changes package-lock.json."
    assert '+{"packages": {"node_modules/other": {}}}' in needs.diff
    request = RunSetup(
        repository=job.opened.repository, commit=patch.commit, setup=needs, allowed=True, by="me"
    )
    assert (await ActivityEnvironment().run(env.setups.run_setup, request)).environment

    assert await said(agent, "grep -c other node_modules/a/lock") == "1\n[exit code 0]"
    assert (await job.check(patch.commit, "grep other node_modules/a/lock")).passed
    assert (await job.check(job.base, "grep greet node_modules/a/lock")).passed
    assert (await job.patch(agent.at, number=1)).setup is None
    later = await job.agent("later", patch.commit)
    assert await said(later, "grep -c other node_modules/a/lock") == "1\n[exit code 0]"
    del project


@pytest.mark.usefixtures("npm")
async def test_a_patch_needs_no_setup_without_a_change_of_what_is_installed(
    env: ActivityEnv, project: Path, npm: Environment
) -> None:
    """Where the checkout's own packages fit the base, only a changed lock file asks."""
    written(project, {"node_modules/greet/index.js": "of the checkout\n"})
    job = await env.open(environment=npm)
    assert job.opened.setup is None
    agent = await job.agent()
    await agent.edit("create", "new.txt", file_text="new\n")
    assert (await job.patch(agent.at)).setup is None
    await agent.edit("str_replace", "package-lock.json", old_str="greet", new_str="other")
    needs = (await job.patch(agent.at, number=1)).setup
    assert needs is not None
    assert needs.rule.commands == ("npm ci",)
