"""The environment of activity tests: a user's repository, its store, and every real activity."""

import asyncio
import json
import os
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.checks import CleanChecks
from activities.patches import StorePatches
from activities.repository import UserRepositories
from activities.setup import SetupSteps
from activities.survey import BaseSurveys
from activities.tools.dispatch import WorktreeTools
from activities.worktrees import PooledWorktrees
from contracts.checks import ChecksReport, RunChecks
from contracts.lanes import Lane, LaneFacts
from contracts.repository import Environment, OpenRepository, RepositoryOpened
from contracts.review import MakePatch, Patch
from contracts.setup import RunSetup, SetupReport, WantedSetup
from contracts.tools import ReadCall, ReadResults, ToolCall, ToolResult
from contracts.worktrees import LeaseWorktree, WorktreeLease
from infra.cloud_lane import CloudLane
from infra.commands import CommandRunner
from infra.layers import Layers, remove_tree
from infra.sandbox import Sandbox
from infra.store import Store, trees
from infra.store.open_stores import OpenStores
from infra.worktrees.open_pools import OpenPools
from infra.worktrees.pool import WorktreePool
from infra.worktrees.users import first_user
from runtime.redaction import redactor
from tests.local_deployment import commit, git

ENVIRONMENT = Environment(path="/usr/local/bin:/usr/bin:/bin")
"""A PATH of the system alone."""

HOST = "test-host"
CLOUD = CloudLane(60)
_WRITES = {
    "edit": "apply_edit",
    "install_dependencies": "call_tool",
    "run_command": "run_command",
}

SECRET = "correct horse battery"
"""What the worker of these tests must not let into a history."""


@dataclass
class ActivityEnv:
    """The activities, made as the worker makes them, and short calls of them.

    Attributes:
        folder: of this environment alone; `person` lies in it.
        home: the product's data, which commands must not see.
        person: the user's repository.
        shown: a folder of the host that a person shows to commands.
    """

    folder: Path
    home: Path
    person: Path
    shown: Path
    stores: OpenStores
    pools: OpenPools
    tools: WorktreeTools
    checks: CleanChecks
    surveys: BaseSurveys
    runner: CommandRunner
    layers: Layers
    setups: SetupSteps
    patches: StorePatches
    repositories: UserRepositories
    worktrees: PooledWorktrees

    async def open(
        self,
        path: Path | str | None = None,
        *,
        request: str = "request/one",
        branch: str = "made",
        base: str | None = None,
        checks: tuple[str, ...] = (),
        environment: Environment | None = ENVIRONMENT,
        setup: tuple[str, ...] | None = None,
        lane: Lane | None = None,
        untrusted: bool = False,
    ) -> "Job":
        """Open a repository for a request, as RequestWorkflow does."""
        asked = OpenRepository(
            request_id=request,
            request_key=request.rpartition("/")[2],
            path=str(path or self.person),
            base=base,
            branch=branch,
            suggested_branch="suggested",
            checks=checks,
            environment=environment,
            setup=setup,
            lane=lane,
            untrusted=untrusted,
        )
        opened: RepositoryOpened = await ActivityEnvironment().run(
            self.repositories.open_repository, asked
        )
        store = await self.stores.get(opened.repository.key)
        return Job(self, opened, store)

    def made(self) -> list[str]:
        """Return the names of the stores: none, when a request was refused in time."""
        return sorted(path.name for path in (self.home / "stores").glob("*"))


@dataclass
class Job:
    """One request in the environment."""

    env: ActivityEnv
    opened: RepositoryOpened
    store: Store

    @property
    def base(self) -> str:
        """Return the commit that the request starts from."""
        return self.opened.base

    async def pool(self) -> WorktreePool:
        """Return the worktree pool of the repository's store."""
        return await self.env.pools.get(self.opened.repository.key)

    async def lease(
        self, purpose: str = "a", commit: str | None = None, *, lane: Lane | None = None
    ) -> WorktreeLease:
        """Lease a worktree at the base, or at a commit; `lane` is asked for by the person."""
        request = LeaseWorktree(
            repository=self.opened.repository,
            owner="request/one",
            purpose=purpose,
            commit=commit or self.base,
            lane=LaneFacts(asked=lane) if lane else None,
        )
        return await ActivityEnvironment().run(self.env.worktrees.lease_worktree, request)

    async def agent(
        self, task: str = "a", commit: str | None = None, *, lane: Lane | None = None
    ) -> "Agent":
        """Return an agent with a worktree of its own."""
        lease = await self.lease(task, commit, lane=lane)
        return Agent(self, lease, task, lease.commit)

    async def arguments(self, arguments: Mapping[str, object]) -> str:
        """Put a call's arguments into the store."""
        return await self.store.put_blob(json.dumps(arguments).encode())

    async def check(self, commit: str, *commands: str, **options: Any) -> ChecksReport:
        """Run checks on a commit."""
        request = RunChecks(
            repository=self.opened.repository, commit=commit, commands=commands, **options
        )
        return await ActivityEnvironment().run(self.env.checks.run_checks, request)

    async def patch(
        self,
        checkpoint: str,
        *,
        task: str = "a",
        number: int = 0,
        base: str | None = None,
        writes: tuple[str, ...] = ("**",),
        **fields: Any,
    ) -> Patch:
        """Make a patch of a checkpoint."""
        request = MakePatch(
            repository=self.opened.repository,
            task=task,
            round=number,
            base=base or self.base,
            checkpoint=checkpoint,
            writes=writes,
            message=f"Do {task}\n\nOrchestCode-Task: {task}\n",
            **fields,
        )
        return await ActivityEnvironment().run(self.env.patches.make_patch, request)

    async def changed(
        self, files: Mapping[str, str | bytes | None], on: str | None = None, mode: str = "100644"
    ) -> str:
        """Return a checkpoint on a commit with these files written, or deleted where None."""
        parent = on or self.base
        entries = {
            path: None if data is None else (mode, await self.store.put_blob(_bytes(data)))
            for path, data in files.items()
        }
        tree = await trees.with_paths(self.store, parent, entries)
        return await self.store.put_commit(tree, (parent,), "checkpoint", when=1_700_000_500)


@dataclass
class Agent:
    """Tool calls in one worktree, each from where the last one ended.

    Attributes:
        at: the checkpoint that the next call expects.
        seen: the record of viewed files, as it came back last.
        asked: the setups that had to run for calls, oldest first.
    """

    job: Job
    lease: WorktreeLease
    task: str
    at: str
    seen: str | None = None
    calls: int = 0
    asked: list[WantedSetup] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """Return the worktree's folder."""
        pool = self.job.opened.repository.key
        return self.job.env.home / "worktrees" / pool / self.lease.worktree

    async def call(self, tool: str, **arguments: object) -> ToolCall:
        """Return the next acting call, not yet made."""
        self.calls += 1
        return ToolCall(
            repository=self.job.opened.repository,
            lease=self.lease,
            task_ref=self.task,
            call_id=f"call-{self.calls}",
            tool=tool,
            expected=self.at,
            arguments=await self.job.arguments(arguments),
            seen=self.seen,
        )

    async def make(self, call: ToolCall) -> ToolResult:
        """Make a call as Temporal does, once or again."""
        activity = getattr(self.job.env.tools, _WRITES.get(call.tool, "call_tool"))
        result: ToolResult = await ActivityEnvironment().run(activity, call)
        return result

    async def edit(self, command: str, path: str, **arguments: object) -> "ToolReply":
        """Edit a file."""
        return await self._next(await self.call("edit", command=command, path=path, **arguments))

    async def patch(self, text: str) -> "ToolReply":
        """Apply a patch."""
        return await self._next(await self.call("apply_patch", patch=text))

    async def run(self, line: str, **arguments: object) -> "ToolReply":
        """Run a command."""
        return await self._next(await self.call("run_command", command=line, **arguments))

    async def install(
        self, *, reason: str = "the task needs it", allowed: bool = True, **arguments: object
    ) -> "ToolReply":
        """Ask for dependencies; a setup that has to run first is allowed by Ann, or refused."""
        call = await self.call("install_dependencies", reason=reason, **arguments)
        first = await self.make(call)
        if first.setup is None:
            return await self._next(call)
        self.asked.append(first.setup)
        if allowed:
            await self.set_up(first.setup)
            return await self._next(call)
        return ToolReply(first, await reply_text(self.job.store, first))

    async def set_up(self, wanted: WantedSetup, commit: str | None = None) -> SetupReport:
        """Have a setup run at the agent's checkpoint, or another, as its workflow does."""
        request = RunSetup(
            repository=self.job.opened.repository,
            commit=commit or self.at,
            setup=wanted,
            allowed=True if wanted.ask else None,
            by="Ann" if wanted.ask else "",
        )
        report: SetupReport = await ActivityEnvironment().run(
            self.job.env.setups.run_setup, request
        )
        return report

    async def _next(self, call: ToolCall) -> "ToolReply":
        result = await self.make(call)
        assert result.checkpoint is not None
        self.at, self.seen = result.checkpoint, result.seen
        return ToolReply(result, await reply_text(self.job.store, result))

    async def read(self, *calls: tuple[str, Mapping[str, object]]) -> list["ToolReply"]:
        """Answer the reading calls of one turn."""
        stored = [
            (f"use-{n}", tool, await self.job.arguments(arguments))
            for n, (tool, arguments) in enumerate(calls)
        ]
        request = ReadCall(
            repository=self.job.opened.repository,
            lease=self.lease,
            task_ref=self.task,
            expected=self.at,
            calls=tuple(stored),
            seen=self.seen,
        )
        results: ReadResults = await ActivityEnvironment().run(
            self.job.env.tools.read_files, request
        )
        self.seen = results.seen
        return [
            ToolReply(result, await reply_text(self.job.store, result))
            for result in results.results
        ]

    async def view(self, path: str, **arguments: object) -> "ToolReply":
        """View one file."""
        return (await self.read(("view", {"path": path, **arguments})))[0]

    async def search(self, pattern: str, **arguments: object) -> "ToolReply":
        """Search once."""
        return (await self.read(("search", {"pattern": pattern, **arguments})))[0]

    async def files(self) -> dict[str, bytes]:
        """Return the checkpoint's files."""
        store = self.job.store
        return {
            path: await store.get_blob(f"{self.at}:{path}")
            for path in await trees.paths(store, self.at)
        }


@dataclass(frozen=True)
class ToolReply:
    """A result and its text for the model."""

    result: ToolResult
    text: str

    @property
    def outcome(self) -> str:
        """Return how the call ended."""
        return self.result.outcome.value


async def reply_text(store: Store, result: ToolResult) -> str:
    """Return a result's text for the model."""
    return (await store.get_blob(result.output)).decode()


def person(folder: Path, files: Mapping[str, str | bytes] | None = None) -> Path:
    """Create a user's repository with one commit on main."""
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    for path, data in (files or {"a.txt": "one\ntwo\nthree\n", "b.txt": "b\n"}).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(_bytes(data))
    commit(folder, "The beginning")
    return folder


@asynccontextmanager
async def probed_sandbox(folder: Path) -> AsyncIterator[Sandbox]:
    """Yield a sandbox that holds."""
    sandbox = Sandbox()
    await sandbox.probe(folder)
    yield sandbox


@asynccontextmanager
async def activity_env(
    sandbox: Sandbox, *, files: Mapping[str, str | bytes] | None = None
) -> AsyncIterator[ActivityEnv]:
    """Yield the environment in a folder outside /tmp, where a command could see it; remove it
    after.
    """
    folder = _open_folder()
    home = folder / "home"
    stores = OpenStores(home / "stores")
    try:
        yield _assembled(sandbox, folder, stores, person(folder / "person", files))
    finally:
        await stores.close()
        await asyncio.to_thread(remove_tree, folder)  # overlays leave closed folders


def _open_folder() -> Path:
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="orchestcode-test-"))
    folder.chmod(0o755)
    return folder


def _assembled(sandbox: Sandbox, folder: Path, stores: OpenStores, repository: Path) -> ActivityEnv:
    home = folder / "home"
    pools = OpenPools(stores, home / "worktrees", host_id=HOST, uid_base=first_user(home))
    (shown := folder / "shown").mkdir()
    layers = Layers(home / "layers")
    runner = CommandRunner(sandbox, hide=(home,), show=(shown,), layers=layers)
    return ActivityEnv(
        folder=folder,
        home=home,
        person=repository,
        shown=shown,
        stores=stores,
        pools=pools,
        tools=WorktreeTools(
            stores, pools, runner, redact=redactor((SECRET,)), recall=home / "cache" / "recall"
        ),
        checks=CleanChecks(stores, pools, runner, redact=redactor((SECRET,))),
        surveys=BaseSurveys(stores, pools, runner),
        patches=StorePatches(stores, layers),
        repositories=UserRepositories(
            stores,
            host_id=HOST,
            fallback=ENVIRONMENT,
            instructions=(folder / "told.md",),
            layers=layers,
            cloud=CLOUD,
        ),
        runner=runner,
        layers=layers,
        setups=SetupSteps(
            stores,
            pools,
            runner,
            layers,
            redactor=lambda secrets: redactor((SECRET, *secrets)),
            environ=dict(os.environ),
        ),
        worktrees=PooledWorktrees(pools.get, cloud=CLOUD),
    )


def token() -> str:
    """Return a word that no other process on this machine uses."""
    return f"token{secrets.token_hex(6)}"


def alive(word: str) -> list[str]:
    """Return the command lines of living processes that contain this word."""
    found: list[str] = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = file.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if word in line:
            found.append(line)
    return found


def python() -> str:
    """Return the interpreter of these tests."""
    return sys.executable


def _bytes(data: str | bytes) -> bytes:
    return data.encode() if isinstance(data, str) else data
