"""The command blocks of README and docs, carried out from their first line to their last.

Each block is typed by bash as it stands, on one home with a rehearsed model: a page is a session,
so a line finds what the lines before it have left. What no bare machine can run is named below,
with the reason.
"""

import asyncio
import contextlib
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from temporalio.client import Client
from typing_extensions import override

from cli.client import RequestClient
from contracts.request import RequestStatus
from runtime.connect import connect
from runtime.records import SupervisorRecord
from runtime.services.child_process import ChildProcess
from tests.local_deployment import ROOT, LocalDeployment, commit, until
from tests.model_scripts import Task, command, done, plan_of, play, script, turn

pytestmark = pytest.mark.minutes

NOT_RUN = {
    "make test": "it is the suite to which this test belongs",
    'orchestcode run --setup "npm ci"': "needs npm and its registry: tests/packages runs them",
    "temporal operator search-attribute": "needs a Temporal service of one's own",
    "printf 'POSTGRES_PASSWORD": "needs a container engine",
    "docker compose": "needs a container engine",
}
"""Beginnings of the lines that are not run here, each with the reason."""

FOLLOW = ("orchestcode watch", "orchestcode log mine mend-total --follow")
"""Lines that go on until the request ends; they are begun, and have ended by then."""

SERVES = {"python -m rehearsal": "rehearsal listening on http://127.0.0.1:"}
"""Lines that go on for ever, and what they print once they serve; then they are ended."""

ENDS_WITH = {"orchestcode init": 3}
"""Exit codes other than 0: nobody was there to say yes. A request that is detached ends with 3."""

MINE = (
    "temporal workflow start --type RequestWorkflow --task-queue orchestcode "
    "--workflow-id request/mine --input "
    """'{"repository": "/home/me/src/shop", "request": "fix it", "approve": ["plan"]}'"""
)
"""What begins the request of a block that does not begin one by itself."""

_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_ANSWER = re.compile(
    r'"approval": "([^"]+)"|orchestcode (?:approve|reject|revise|code) mine(?: ([a-z][\w/-]*))?'
)
_MAKEFILE = "test:\n\tpython3 -m unittest -q\n"


@dataclass(frozen=True)
class Block:
    """The lines of a block, its page and its number there."""

    page: str
    number: int
    lines: tuple[str, ...]

    @override
    def __str__(self) -> str:
        """Return where it stands."""
        return f"{self.page}-{self.number}"

    @property
    def needs_mine(self) -> bool:
        """Return whether it speaks of a request that it does not begin."""
        begins = any(" run --repo" in line or "workflow start" in line for line in self.lines)
        return not begins and any(map(_speaks_of_mine, self.lines))


def blocks() -> Iterator[Block]:
    """Yield every block of shell commands of the pages."""
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        found = _BLOCK.findall(path.read_text(encoding="utf-8"))
        for number, text in enumerate(found, 1):
            lines = text.replace("\\\n", " ").splitlines()
            yield Block(path.stem, number, tuple(line for line in lines if line.strip()))


def _speaks_of_mine(line: str) -> bool:
    return any(word in line for word in (" mine", "/mine", "OBJECT"))


def not_run(line: str) -> str:
    """Return why a line is not run, "" when it is."""
    return next((why for begin, why in NOT_RUN.items() if line.startswith(begin)), "")


@dataclass
class Shell:
    """A person's shell on the home of a deployment.

    Attributes:
        mine: the request that the pages call `mine`.
        followers: what goes on until that ends, each with its log.
    """

    deployment: LocalDeployment
    mine: str = "request/mine"
    followers: list[tuple[ChildProcess, Path]] = field(default_factory=list)
    clients: dict[str, Client] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The person's own folder."""
        return self.deployment.folder

    @property
    def shop(self) -> Path:
        """The repository that the pages call ~/src/shop."""
        return self.home / "src" / "shop"

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment: programs as `make install` and `make setup` put them on the PATH."""
        own = (self.home / ".local" / "bin", self.home / "bin", Path(sys.executable).parent)
        path = os.pathsep.join((*map(str, own), self.deployment.environ["PATH"]))
        flags = f"-o .venv/.app -- BIN={Path(sys.executable).parent}"
        more = {"PATH": path, "MAKEFLAGS": flags, "PYTHONPATH": str(ROOT)}
        return {**self.deployment.environ, **more}

    def said(self, line: str) -> str:
        """Return a line as it is typed here, with the names that this machine has."""
        names = {
            "/home/me": str(self.home),
            "~/.local/state/orchestcode": "$ORCHESTCODE_HOME",
            "--port 8123": "--port 0",  # that one may be taken
        }
        if stores := sorted(self.deployment.settings.stores.glob("*.git")):
            names["shop-59e5838694.git"] = stores[0].name
            names["OBJECT"] = _any_object(stores[0])
        for name, here in names.items():
            line = line.replace(name, here)
        return line

    async def client(self) -> Client:
        """Return a client of the server that the commands have brought up."""
        record = SupervisorRecord.running(self.deployment.settings)
        assert record is not None
        assert record.address is not None
        if record.address not in self.clients:
            found = await connect(self.deployment.settings, address=record.address)
            self.clients[record.address] = found
        return self.clients[record.address]

    async def status(self) -> RequestStatus:
        """Return the last status of the request of the page."""
        handle = (await self.client()).get_workflow_handle(self.mine)
        found: RequestStatus = await handle.query("status", result_type=RequestStatus)
        return found

    async def type(self, line: str) -> str:
        """Type one line, wait for its end and return what it printed."""
        detached = 3 if re.match(r"orchestcode (run|retry) .*--detach", line) else 0
        code = next((code for begin, code in ENDS_WITH.items() if line.startswith(begin)), detached)
        ran = await asyncio.create_subprocess_exec(
            *("bash", "-o", "pipefail", "-c", self.said(line)),
            env=dict(self.environ),
            cwd=ROOT if line.startswith("make ") else self.shop,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        async with asyncio.timeout(240):
            out = (await ran.communicate())[0].decode()
        assert ran.returncode == code, f"{line}\n{out}"
        return out

    def follow(self, line: str) -> None:
        """Begin a line that goes on until the request ends."""
        self.followers.append(self._begin(line))

    def _begin(self, line: str) -> tuple[ChildProcess, Path]:
        log = self.home / f"line-{len(list(self.home.glob('line-*')))}.log"
        words = ["bash", "-c", f"exec {self.said(line)}"]
        child = ChildProcess(words, environment=dict(self.environ), log=log, folder=self.shop)
        return child, log

    async def serve(self, line: str, listening: str) -> None:
        """Begin a line that serves, wait until it does, and end it."""
        child, log = self._begin(line)
        await until(lambda: listening in log.read_text() or not child.alive)
        assert await child.stop(grace_seconds=20) == 0, log.read_text()
        assert listening in log.read_text()

    async def carry_out(self, line: str) -> None:
        """Type a line once what it answers is asked."""
        for begin, listening in SERVES.items():
            if line.startswith(begin):
                await self.serve(line, listening)
                return
        if asked := _ANSWER.search(line):
            await self._asked(asked[1] or asked[2])
        if re.match(r"orchestcode (retry|forget) ", line):
            await self._ended()
        if " --digest " in line:
            (digest,) = [each.digest for each in (await self.status()).approvals]
            line = re.sub(r"--digest \w+", f"--digest {digest[:12]}", line)
        short = self.mine.removeprefix("request/")
        line = re.sub(r"(?<=[ /])mine\b", short, line)
        if line.replace(short, "mine").startswith(FOLLOW):
            self.follow(line)
            return
        out = await self.type(line)
        if started := re.search(r"started (request/\S+)", out):
            self.mine = started[1]

    async def nothing_open(self) -> None:
        """Cancel what an earlier block has left open, and wait for its end."""
        if SupervisorRecord.running(self.deployment.settings) is None:
            return
        client = await self.client()
        query = 'WorkflowType="RequestWorkflow" AND ExecutionStatus="Running"'
        async for run in client.list_workflows(query):
            self.mine = run.id
            await client.get_workflow_handle(run.id).cancel()
            await self._ended()
        self.mine = "request/mine"

    async def _asked(self, wanted: str | None) -> None:
        async def waits() -> bool:
            pending = [each.id for each in (await self.status()).approvals]
            return bool(pending) if wanted is None else wanted in pending

        await until(waits, seconds=180)

    async def _ended(self) -> None:
        async def ended() -> bool:
            found = await RequestClient(await self.client()).find(self.mine)
            return found.closed is not None

        await until(ended, seconds=180)


def _any_object(store: Path) -> str:
    heads = sorted((store / "objects").glob("[0-9a-f][0-9a-f]/*"))
    return f"{heads[0].parent.name}{heads[0].name}"


@pytest.fixture(scope="module")
async def shell() -> AsyncIterator[Shell]:
    """A home where nothing runs yet, with a repository and the program on the PATH."""
    mends = command(
        "sed -i 's/sum(cents for _, cents, _/sum(cents * each for _, cents, each/' shop/cart.py"
    )
    slow = (turn(mends, delay_ms=1_500), done())
    task = Task("mend-total", slow, writes=("shop/cart.py",))
    names = ("fix-the-failing", "write-it-down", "fix-the-cart", "fix-what-fails", "mine")
    plays = [play(name, task, planner=(plan_of([task]), plan_of([task]))) for name in names]
    async with LocalDeployment(script(*plays), services=False) as deployment:
        (deployment.folder / "src").mkdir()
        folder = deployment.repository("src/shop")
        (folder / "Makefile").write_text(_MAKEFILE)
        commit(folder, "make test")
        (folder / "request.md").write_text("Write it down.\n")
        page = (ROOT / "docs" / "rehearsal.md").read_text(encoding="utf-8")
        (folder / "script.json").write_text(
            next(text for text in re.findall(r"```json\n(.*?)```", page, re.DOTALL))
        )
        own = Shell(deployment)
        _temporal(deployment.folder / "bin" / "temporal", deployment)
        await own.type("make install")
        yield own
        for child, _ in own.followers:
            if child.alive:
                child.kill()


def _temporal(path: Path, deployment: LocalDeployment) -> None:
    """Write a `temporal` that finds the server of this home, on whatever port it runs."""
    path.parent.mkdir()
    record = deployment.settings.run / "supervisor.json"
    path.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        f"address = json.load(open({str(record)!r}))['address']\n"
        f"program = {shutil.which('temporal', path=str(Path(sys.executable).parent))!r}\n"
        "os.execve(program, ['temporal', *sys.argv[1:]], "
        "{**os.environ, 'TEMPORAL_ADDRESS': address})\n"
    )
    path.chmod(0o755)


def _run(block: Block) -> list[str]:
    """Return the lines of a block that are run; those that are not stand in a table."""
    return [line for line in block.lines if not not_run(line)]


@pytest.mark.parametrize("block", [block for block in blocks() if _run(block)], ids=str)
async def test_a_block_of_commands_works_as_it_stands(shell: Shell, block: Block) -> None:
    """Every line of it ends as the page says; what follows a request ends with it."""
    lines = _run(block)
    shell.mine, shell.followers = "request/mine", []
    await shell.nothing_open()
    for line in lines:
        if block.needs_mine and _speaks_of_mine(line):
            await _waiting_for_its_plan(shell)
        elif line.startswith("temporal "):
            await _running(shell)
        await shell.carry_out(line)
    for child, log in shell.followers:
        async with asyncio.timeout(60):
            assert await child.wait() in (0, 1), log.read_text()


async def _waiting_for_its_plan(shell: Shell) -> None:
    """Have `request/mine` wait for an answer, anew when an earlier line has ended it."""
    await _running(shell)
    with contextlib.suppress(Exception):
        if (await RequestClient(await shell.client()).find("request/mine")).closed is None:
            return
    await shell.type(MINE)
    await shell._asked("plan")


async def _running(shell: Shell) -> None:
    """Have server and worker run, as `make up` would."""
    if SupervisorRecord.running(shell.deployment.settings) is None:
        await shell.type("orchestcode up --detach")


def test_every_reason_is_of_a_line_that_stands_on_a_page() -> None:
    """And so is every line that follows a request, or does not end with 0."""
    lines = [line for block in blocks() for line in block.lines]

    for begin in (*NOT_RUN, *FOLLOW, *SERVES, *ENDS_WITH):
        assert any(line.startswith(begin) for line in lines), begin
