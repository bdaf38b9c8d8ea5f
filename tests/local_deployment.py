"""A home with server, worker and rehearsed model, for tests that need everything real.

Every process is a child that can be killed and started again at any moment.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from temporalio.client import Client, WorkflowHandle

from cli.client import RequestClient, RequestOutcome
from contracts.request import RequestStatus
from contracts.task_queue import WORKFLOW_TASK_TIMEOUT, TaskQueue
from contracts.visibility import RunState
from examples.demo.rehearsed import (
    ROOT,
    RehearsalProcess,
    commit,
    git,
    make_repository,
    rehearsed_environment,
)
from rehearsal import journal
from rehearsal.journal import Entry
from runtime.connect import connect
from runtime.locks import is_held
from runtime.records import WorkerRecord
from runtime.services.binary import find_binary
from runtime.services.child_process import ChildProcess, log_tail
from runtime.services.embedded_server import EmbeddedServer
from runtime.services.stop import stop_services
from runtime.settings import Settings, load
from tests import journal_checks
from tests.model_scripts import DEMO
from tests.runtime import processes

CHECK = "python3 -m unittest -q"
"""The demo repository's own tests."""
_READY_SECONDS = 60.0
_PAUSE_SECONDS = 0.02

__all__ = [
    "CHECK",
    "ROOT",
    "Handle",
    "LocalDeployment",
    "changed",
    "commit",
    "disturbed",
    "git",
    "snapshot",
    "until",
]

Script = Mapping[str, Any]
Handle = WorkflowHandle[Any, RequestStatus]


class LocalDeployment:
    """A home with rehearsal server, Temporal server and worker; nothing of it is left at the end.

    Args:
        script: the model's replies; a path or parsed JSON.
        services: start a Temporal server and a worker. Without them `starter` brings up its own.
        environ: further variables of every process.
        web_ui: the Temporal server has one.
        server_config: further configuration of the Temporal server.
        folder: where everything is; by default a fresh folder.

    Attributes:
        folder: of this deployment alone, repositories included.
        settings: the product's settings on this home.
    """

    def __init__(
        self,
        script: Script | Path,
        *,
        services: bool = True,
        environ: Mapping[str, str] | None = None,
        web_ui: bool = False,
        server_config: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self._script = script
        self._with_services = services
        self._further = dict(environ or {})
        self._web_ui = web_ui
        self._server_config = server_config
        self.folder = folder or Path(tempfile.mkdtemp(prefix="orchestcode-test-"))
        self._rehearsal: RehearsalProcess | None = None
        self._worker: ChildProcess | None = None
        self._server: EmbeddedServer | None = None
        self._client: Client | None = None
        self.settings: Settings = load({})

    async def __aenter__(self) -> Self:
        """Start the rehearsal server and, with services, Temporal and the worker."""
        try:
            await self._begin()
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End every process of the deployment and remove its folder.

        A conversation whose prefix has changed fails the test, whatever it is about.
        """
        changed = journal_checks.changed_prefixes(self.journal()) if self._rehearsal else []
        await self._leave()
        assert kind is not None or not changed, f"prefixes changed: {changed}"

    async def _begin(self) -> None:
        script = self._script
        if not isinstance(script, Path):
            (path := self.folder / "script.json").write_text(json.dumps(script))
            script = path
        self._rehearsal = RehearsalProcess(script, self.folder)
        person = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
        }
        environ = rehearsed_environment(
            person, home=self.folder / "home", address=self._rehearsal.address
        )
        self.settings = load({**environ, **self._further})
        if self._with_services:
            await self.start_server()
            await self.start_worker()

    async def _leave(self) -> None:
        await self.stop_supervisor()
        if self._worker is not None:
            await self.stop_worker()
        if self._server is not None:
            await self._server.stop()
        if self._rehearsal is not None:
            await self._rehearsal.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- server and worker ---------------------------------------------------------------------

    async def start_server(self) -> None:
        """Start the Temporal server, again on the same database and port, and wait for it."""
        if self._server is None:
            self._server = EmbeddedServer(
                self.settings,
                headless=not self._web_ui,
                free_ports=True,
                dynamic_config=self._server_config,
            )
        await self._server.start()

    async def kill_server(self) -> None:
        """Kill the Temporal server (SIGKILL) and wait until it is gone."""
        os.kill(self.server.pid, signal.SIGKILL)
        await self.server.wait()

    async def start_worker(self, code: Path = ROOT, *, without: Sequence[str] = ()) -> None:
        """Start the worker of the product in `code` and wait until it polls its queues.

        `without` names variables of its environment that it does not get.
        """
        environment = {
            name: value for name, value in self.settings.environment.items() if name not in without
        }
        log = self.settings.logs / "worker.log"
        child = self._worker = ChildProcess(
            [sys.executable, str(code / "worker.py")],
            environment=environment,
            log=log,
            folder=code,
        )
        await until(lambda: not child.alive or self._worker_polls(child.pid))
        if not child.alive:
            raise AssertionError(f"the worker did not start:{log_tail(log)}")

    def _worker_polls(self, pid: int) -> bool:
        record = WorkerRecord.read(self.settings)
        return record is not None and record.pid == pid

    async def kill_worker(self) -> None:
        """Kill the worker (SIGKILL) and wait until it is gone."""
        os.kill(self.worker.pid, signal.SIGKILL)
        await self.worker.wait()

    async def stop_worker(self) -> int:
        """End the worker in order and return its exit code."""
        return await self.worker.stop(grace_seconds=20)

    async def stop_supervisor(self) -> None:
        """End what `starter` brought up, if anything, and wait until it is gone."""
        if self.settings.home.is_relative_to(self.folder):
            await stop_services(self.settings)

    @property
    def server(self) -> EmbeddedServer:
        """The Temporal server of this deployment."""
        assert self._server is not None, "this deployment has no server of its own"
        return self._server

    @property
    def worker(self) -> ChildProcess:
        """The worker process of this deployment."""
        assert self._worker is not None, "this deployment has no worker of its own"
        return self._worker

    # --- requests ------------------------------------------------------------------------------

    async def client(self) -> Client:
        """Return a client of the deployment's Temporal server."""
        if self._client is None:
            address = self._server.address if self._server else None
            self._client = await connect(self.settings, address=address)
        return self._client

    async def start_request(self, name: str, repository: Path, **options: object) -> Handle:
        """Start a request with the id `request/<name>`; `options` are further keys of its input."""
        payload = {"repository": str(repository), "request": name, **options}
        client = await self.client()
        return await client.start_workflow(
            "RequestWorkflow",
            payload,
            id=f"request/{name}",
            task_queue=TaskQueue.WORKFLOWS,
            task_timeout=WORKFLOW_TASK_TIMEOUT,
            result_type=RequestStatus,
        )

    async def handle(self, name: str) -> Handle:
        """Return the handle of the request `request/<name>`."""
        client = await self.client()
        return client.get_workflow_handle(f"request/{name}", result_type=RequestStatus)

    async def status(self, handle: Handle) -> RequestStatus:
        """Return the request's present status."""
        status: RequestStatus = await handle.query("status", result_type=RequestStatus)
        return status

    async def ending(self, handle: Handle, *, seconds: float = 120) -> RequestOutcome:
        """Wait for a request's end and return it."""
        try:
            async with asyncio.timeout(seconds):
                return await RequestClient(await self.client()).outcome(handle.id)
        except TimeoutError:
            tail = log_tail(self.settings.logs / "worker.log", lines=30)
            said = await self.status(handle)
            raise AssertionError(f"not ended after {seconds} s: {said!r}{tail}") from None

    async def delivered(self, handle: Handle, *, seconds: float = 120) -> RequestStatus:
        """Wait for a request's end, which must be a delivered branch; return its last status."""
        ending = await self.ending(handle, seconds=seconds)
        assert ending.state is RunState.DONE, f"{ending.state}: {ending.reason}"
        assert ending.status is not None
        return ending.status

    async def waiting(self, handle: Handle, *, count: int = 1) -> RequestStatus:
        """Wait until that many answers are asked of a person and return the status."""
        waits = asyncio.ensure_future(self._asked(handle, count))
        ends = asyncio.ensure_future(self.ending(handle))
        await asyncio.wait((waits, ends), return_when=asyncio.FIRST_COMPLETED)
        for one in (waits, ends):
            one.cancel()
        assert waits.done(), f"it ended without asking: {ends.result()}"
        return await waits

    async def _asked(self, handle: Handle, count: int) -> RequestStatus:
        async def asked() -> bool:
            return len((await self.status(handle)).approvals) >= count

        await until(asked)
        return await self.status(handle)

    async def reply_comes(self, word: str) -> None:
        """Wait until a running reply of the model has said this word."""
        folder = self.settings.live
        await until(lambda: any(word in text for text in _texts(folder)))

    @property
    def journal_file(self) -> Path:
        """Where the rehearsal server writes down each request to the model."""
        assert self._rehearsal is not None
        return self._rehearsal.journal

    def journal(self, request: str | None = None) -> list[Entry]:
        """Return the requests to the model so far, of all or of the request with this id."""
        written = self.journal_file
        entries = journal.read(written) if written.exists() else []
        return [entry for entry in entries if request in (None, entry.request)]

    # --- a person's commands -------------------------------------------------------------------

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a person at this home."""
        environ = dict(self.settings.environment)
        if self._server is not None:
            environ["TEMPORAL_ADDRESS"] = self._server.address
        return environ

    async def starter(
        self, *words: str, seconds: float = 90, environ: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run starter.py with these arguments to its end.

        `environ` adds variables; one that is empty is left out.
        """
        command = [sys.executable, str(ROOT / "starter.py"), *words]
        return await self._run(command, seconds, environ or {})

    def open_starter(self, *words: str, log: Path) -> ChildProcess:
        """Start starter.py with these arguments, its output appended to `log`."""
        command = [sys.executable, str(ROOT / "starter.py"), *words]
        return ChildProcess(command, environment=self.environ, log=log, folder=self.folder)

    async def temporal(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the `temporal` CLI with these arguments on the deployment's server."""
        binary = str(find_binary(self.settings))
        return await self._run([binary, *words, "--address", self.server.address], 30, {})

    async def _run(
        self, command: Sequence[str], seconds: float, variables: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        environ = {**self.environ, **variables}

        def run() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                command,
                env={name: value for name, value in environ.items() if value},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )

        return await asyncio.to_thread(run)

    # --- repositories --------------------------------------------------------------------------

    def repository(self, name: str = "shop", files: Mapping[str, str] | None = None) -> Path:
        """Make a repository with one commit on branch main: the demo's, or one of these files."""
        folder = self.folder / name
        if files is None:
            shutil.copytree(DEMO / "repository", folder)
        for path, text in (files or {}).items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        return make_repository(folder, "The beginning")

    # --- what is left --------------------------------------------------------------------------

    def left_behind(self) -> list[str]:
        """Return what an ended request must not leave: locks, leases, clones, private git files."""
        homes = (self.settings.stores, self.settings.worktrees)
        locks = [str(path) for home in homes for path in below(home, ".lock") if _locks(path)]
        # A sealed clone alone has this folder, which is the last of it to go.
        clones = [str(path) for path in self.settings.worktrees.glob("*/.pool/*.store")]
        return locks + clones + [f"leased: {name}" for name in self.leases()]

    def has_file(self, name: str) -> bool:
        """Return whether any worktree has a file of this name now."""
        # os.walk passes over folders that vanish meanwhile.
        return any(name in files for _, _, files in os.walk(self.settings.worktrees))

    def leases(self) -> list[str]:
        """Return the worktrees that are still held, with their holder.

        One that is held for checks is released when its lock is.
        """
        holders = []
        for path in below(self.settings.worktrees, ".json"):
            with contextlib.suppress(FileNotFoundError):  # of a worktree that is removed meanwhile
                holders.append((path.name, json.loads(path.read_bytes()).get("holder")))
        return [
            f"{name} by {who}" for name, who in holders if who and not who.startswith("checks/")
        ]

    def processes(self) -> dict[int, str]:
        """Return the living processes of this home by id, without the rehearsal server."""
        own = self._rehearsal.pid if self._rehearsal else 0
        found = processes.of_home(self.settings.home)
        return {pid: line for pid, line in found.items() if pid != own}


async def until(
    condition: Callable[[], bool | Awaitable[bool]], *, seconds: float = _READY_SECONDS
) -> None:
    """Wait until a condition (a function without arguments, plain or async) holds."""
    async with asyncio.timeout(seconds):
        while True:
            holds = condition()
            if holds if isinstance(holds, bool) else await holds:
                return
            await asyncio.sleep(_PAUSE_SECONDS)


def below(folder: Path, suffix: str = "") -> Iterator[Path]:
    """Yield the files below a folder, by the end of their names; what vanishes is passed over."""
    for place, _, names in os.walk(folder):
        yield from (Path(place, name) for name in names if name.endswith(suffix))


def _texts(folder: Path) -> Iterator[str]:
    """Yield what the files below a folder hold; what vanishes is passed over."""
    for path in below(folder):
        with contextlib.suppress(FileNotFoundError):
            yield path.read_text()


def bytes_below(folder: Path) -> int:
    """Return what the files below a folder take; what vanishes meanwhile takes nothing."""
    total = 0
    for path in below(folder):
        with contextlib.suppress(FileNotFoundError):
            total += path.lstat().st_size
    return total


def snapshot(folder: Path) -> dict[str, str]:
    """Return everything below a folder, `.git` included: path to mode, kind and sha256."""
    return {str(path.relative_to(folder)): _fingerprint(path) for path in sorted(folder.rglob("*"))}


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    """Return the paths that two snapshots do not agree on."""
    return {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}


def disturbed(before: Mapping[str, str], after: Mapping[str, str], *, branch: str) -> set[str]:
    """Return the paths of a repository that changed but are neither the branch nor its objects."""
    of_branch = {f"{root}/{branch}" for root in ("refs/heads", "logs/refs/heads")}
    folders = {str(parent) for path in of_branch for parent in Path(path).parents}
    return {
        path
        for path in changed(before, after)
        if not (plain := path.removeprefix(".git/")).startswith("objects/")
        and plain not in of_branch
        and not (plain in folders and path not in before)
    }


def _fingerprint(path: Path) -> str:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return f"link {path.readlink()}"
    if stat.S_ISDIR(mode):
        return f"folder {mode:o}"
    return f"file {mode:o} {hashlib.sha256(path.read_bytes()).hexdigest()}"


def _locks(path: Path) -> bool:
    """Return whether a lock file locks: git's does by existing, ours while it is held."""
    ours = path.parent.name == ".pool" or path.name.startswith((".", "oc-"))
    return is_held(path) if ours else True
