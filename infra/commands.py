"""The user's commands, run in a worktree: their PATH and virtual environment, our sandbox."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from contracts.repository import Dependencies, Environment
from domain.command_limits import CommandLimits, sealed, why_ended
from domain.text import for_models
from infra.disk_space import LowSpaceError, free_bytes, low_space_reason
from infra.guarded_files import GuardedFiles
from infra.layer_files import place_files
from infra.layers import Layers
from infra.ownership import own
from infra.registry import Registry
from infra.sandbox import (
    PAYLOAD_UID,
    PROJECT,
    SHELL_OPTIONS,
    CommandOutcome,
    Mounts,
    Sandbox,
    SandboxCommand,
    SandboxUnavailable,
    SharedFolder,
)
from infra.store import Store
from infra.tree_environment import TreeEnvironment, environment_at
from infra.worktrees.errors import WorktreeBroken
from infra.worktrees.handle import WorktreeHandle

SHELL = " ".join(("bash", *SHELL_OPTIONS))
"""What runs a command line; it belongs to what a recorded outcome holds for."""
_VARIABLES = {
    "PYTHONDONTWRITEBYTECODE": "1",
    "CI": "1",
    # Without a network, these say what is missing instead of trying for long.
    "CARGO_NET_OFFLINE": "true",
    "GOPROXY": "off",
    "GOTOOLCHAIN": "local",
}
_SIGPIPE = 128 + 13
_SHOWN_CHARS = 30_000
_FULL_BYTES = 1_000_000


@dataclass(frozen=True)
class CommandRun:
    """How a command ended, and its output as text for a model.

    Attributes:
        outcome: as the sandbox reports it.
        whole: its output as valid text without terminal codes.
        disk_full: it wrote too much, or it failed and the worktree's disk is full, which may be
            the reason; what it wrote is to be undone.
        limit: which limit ended it, its value and what to do; "" = none did.
    """

    outcome: CommandOutcome
    whole: str
    disk_full: bool
    limit: str = ""

    @property
    def text(self) -> str:
        """Return at most 30,000 characters of the output, its middle lines left out."""
        return shortened(self.whole)

    def text_with(self, whole_in: str) -> str:
        """Return the text with the name of the file that holds the whole."""
        return shortened(self.whole, whole_in=whole_in)

    @property
    def is_cut(self) -> bool:
        """Return whether `text` leaves something out."""
        return len(self.whole) > _SHOWN_CHARS

    @property
    def passed(self) -> bool:
        """Return whether it ended by itself with exit code 0."""
        return self.outcome.exit_code == 0

    @property
    def broken_pipe(self) -> bool:
        """Return whether a command of a pipe ended because the next one stopped reading."""
        return self.outcome.exit_code == _SIGPIPE

    @property
    def ending(self) -> str:
        """Return how it ended, in words."""
        outcome = self.outcome
        if self.limit:
            return self.limit
        if outcome.exit_code is None:
            return f"ended by signal {outcome.signal}"
        if self.broken_pipe:
            return f"exit code {_SIGPIPE}: the next command of its pipe stopped reading (SIGPIPE)"
        return f"exit code {outcome.exit_code}"


class CommandRunner:
    """Runs command lines in worktrees; `hide` covers the product's own data, `show` is shown."""

    def __init__(
        self,
        sandbox: Sandbox,
        *,
        hide: tuple[Path, ...],
        limits: CommandLimits | None = None,
        show: tuple[Path, ...] = (),
        layers: Layers | None = None,
    ) -> None:
        self._layers = layers
        self._sandbox = sandbox
        self._hide = hide
        self._show = show
        self._limits = limits or CommandLimits()

    @property
    def layers(self) -> Layers | None:
        """Return what setups have installed; None where no command finds any of it."""
        return self._layers

    async def environment(self, store: Store, oid: str) -> Environment:
        """Return the environment that a request was started with."""
        return Environment.model_validate_json(await store.get_blob(oid))

    async def environment_at(self, store: Store, oid: str, commit: str) -> TreeEnvironment:
        """Return the same for commands on a commit, whose lock files may be others."""
        environment = await self.environment(store, oid)
        return await environment_at(store, environment, commit, self._layers)

    async def run(
        self,
        worktree: WorktreeHandle,
        line: str,
        environment: Environment,
        *,
        timeout_seconds: float,
        extra: Mapping[str, str] | None = None,
        guarded: GuardedFiles | None = None,
        folders: Sequence[str] = (),
    ) -> CommandRun:
        """Run one command line; every way in which it can end is a value.

        `guarded` is what rules keep from it, `folders` are further ones that it may read.

        Raises:
            SandboxUnavailable: no command may run here.
            WorktreeBroken: the worktree was deleted while the command was being started.
            LayerMissing: what a setup installed was removed.
        """
        installed = environment.dependencies
        mounts = replace(
            self._mounts(worktree, environment),
            shared=tuple(_shared(each) for each in installed if not each.is_file),
            changes=_changes(worktree) if installed else None,
            project=any(each.layer for each in installed),
        )
        mounts = _with_rules(mounts, guarded or GuardedFiles(), folders)
        command = self._command(line, environment, timeout_seconds)
        command = replace(command, env={**_VARIABLES, **(extra or {})})
        if (left := worktree.seconds_left()) is not None:
            limits, seconds = sealed(self._limits), min(timeout_seconds, max(left, 1.0))
            command = replace(command, limits=limits, timeout_seconds=seconds)
        with self._having(installed):
            single = [each for each in installed if each.is_file]
            await asyncio.to_thread(place_files, worktree.path, single, worktree.uid)
            worktree.leave_out(each.path for each in single)
            return await self._run(worktree, mounts, command)

    async def set_up(
        self,
        worktree: WorktreeHandle,
        line: str,
        environment: Environment,
        registry: Registry,
        *,
        timeout_seconds: float,
    ) -> CommandRun:
        """Run a command of a setup: with the network, in `PROJECT`, without what is installed.

        It is given how the person's package managers reach their registries; their files are in
        HOME after `write_settings`. Raises as `run`.
        """
        mounts = self._mounts(worktree, environment)
        mounts = replace(mounts, read=(*mounts.read, *registry.shown))
        command = self._command(line, environment, timeout_seconds)
        variables = {**registry.variables, "GIT_WORK_TREE": str(PROJECT)}
        command = replace(command, network=True, env=variables)
        return await self._run(worktree, mounts, command)

    def _mounts(self, worktree: WorktreeHandle, environment: Environment) -> Mounts:
        return Mounts(
            worktree=worktree.path,
            store=worktree.visible,
            private_git=worktree.private_git,
            gitfile=worktree.gitfile,
            scratch=worktree.scratch,
            uid=worktree.uid or PAYLOAD_UID,
            hide=(*self._hide, *map(Path, environment.private)),
            read=tuple(path for path in self._show if path.exists()),
            shadows_checkout=Path(environment.checkout) if environment.checkout else None,
        )

    def _command(self, line: str, environment: Environment, seconds: float) -> SandboxCommand:
        return SandboxCommand(
            line=line,
            timeout_seconds=seconds,
            limits=self._limits,
            path=environment.path,
            virtual_env=Path(environment.virtual_env) if environment.virtual_env else None,
        )

    def _having(self, installed: Sequence[Dependencies]) -> contextlib.AbstractContextManager[None]:
        """Keep the layers that a command has from being removed meanwhile."""
        names = {each.layer for each in installed if each.layer}
        return self._layers.using(names) if self._layers else contextlib.nullcontext()

    async def _run(
        self, worktree: WorktreeHandle, mounts: Mounts, command: SandboxCommand
    ) -> CommandRun:
        try:
            outcome = await self._sandbox.run(mounts, command)
        except (SandboxUnavailable, ValueError, OSError) as error:
            if _exists(worktree):
                raise
            raise WorktreeBroken(f"{worktree.path} was deleted: {error}") from error
        free = None if outcome.exit_code == 0 else free_bytes(worktree.path)
        full = outcome.exceeded == "disk" or (free is not None and free < _FULL_BYTES)
        # A large output takes a moment, and the worker has other calls to answer.
        whole = await asyncio.to_thread(readable, outcome.output)
        return CommandRun(outcome, whole, disk_full=full, limit=self._limit(command, outcome))

    def _limit(self, command: SandboxCommand, outcome: CommandOutcome) -> str:
        if outcome.exceeded is None:
            return ""
        return why_ended(
            outcome.exceeded,
            command.limits,
            seconds=outcome.duration_seconds,
            output_bytes=command.output_limit_bytes,
        )


def _with_rules(mounts: Mounts, guarded: GuardedFiles, folders: Sequence[str]) -> Mounts:
    """Return mounts with what rules close and open."""
    shown = tuple(path for path in map(Path, folders) if path.is_dir())
    return replace(
        mounts,
        hide=(*mounts.hide, *map(Path, guarded.outside)),
        read=(*mounts.read, *shown),
        closed=guarded.closed,
        kept=guarded.kept,
    )


def _shared(found: Dependencies) -> SharedFolder:
    return SharedFolder(
        path=found.path,
        source=Path(found.source),
        in_home=found.in_home,
        below=found.below,
        read_only=found.read_only,
    )


def write_settings(worktree: WorktreeHandle, registry: Registry) -> None:
    """Write the person's settings of package managers into the HOME of a fresh worktree.

    Before any command: one could have put links there.
    """
    home = home_of(worktree)
    for path, content in registry.files.items():
        file = home / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_bytes(content)
    if worktree.uid is not None and home.exists():
        own(home, worktree.uid)


def home_of(worktree: WorktreeHandle) -> Path:
    """Return where the HOME of a worktree's commands lies on the host."""
    return worktree.scratch / "home"


def _changes(worktree: WorktreeHandle) -> Path:
    """Return the folder for what commands write over dependencies, made where it is missing."""
    worktree.changes.mkdir(mode=0o755, exist_ok=True)
    return worktree.changes


def _exists(worktree: WorktreeHandle) -> bool:
    """Return whether all that a command needs of its worktree is there."""
    parts = (
        *(worktree.path, worktree.private_git, worktree.gitfile),
        *(worktree.scratch, worktree.visible),
    )
    return all(part.exists() for part in parts)


async def undo(worktree: WorktreeHandle, commit: str) -> None:
    """Bring a worktree back to a commit after a command that may have filled the disk.

    Raises:
        LowSpaceError: the disk is still full, so the command did not fill it.
    """
    await worktree.undo(commit)
    if low := low_space_reason(worktree.path, worktree.store):
        raise LowSpaceError(low)


def readable(output: bytes) -> str:
    """Return output as valid text without terminal codes."""
    text = output.decode("utf-8", "backslashreplace")
    return for_models(text, len(text))


def shortened(text: str, *, whole_in: str = "", limit: int = _SHOWN_CHARS) -> str:
    """Return text with its middle lines left out when it is longer than `limit` characters.

    A line is cut only when it alone is too long. `whole_in` names the file that holds all of it.
    """
    if len(text) <= limit:
        return text
    lines = text.splitlines(keepends=True)
    head = _fitting(lines, limit // 2)
    tail = _fitting(lines[: len(head) - 1 if head else None : -1], limit // 2)[::-1]
    first = "".join(head) or text[: limit // 2] + "\n"
    last = "".join(tail) or "…" + text[-(limit // 2) :]
    left_out = len(text) - len(first) - len(last)
    count = len(lines) - len(head) - len(tail)
    where = f"; view or search the whole output in {whole_in}" if whole_in else ""
    return f"{first}… {count:,} lines ({left_out:,} characters) left out{where} …\n{last}"


def _fitting(lines: Sequence[str], room: int) -> list[str]:
    """Return as many of the first lines as fit."""
    fitting: list[str] = []
    for line in lines:
        room -= len(line)
        if room < 0:
            break
        fitting.append(line)
    return fitting
