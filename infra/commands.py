"""The user's commands, run in a worktree: their PATH and virtual environment, our sandbox."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts.repository import Environment
from domain.text import for_people
from infra.disk_space import LowSpaceError, free_bytes, low_space_reason
from infra.sandbox import (
    PAYLOAD_UID,
    SHELL_OPTIONS,
    CommandOutcome,
    Mounts,
    Sandbox,
    SandboxCommand,
    SandboxUnavailable,
)
from infra.store import Store
from infra.worktrees.errors import WorktreeBroken
from infra.worktrees.handle import WorktreeHandle

SHELL = " ".join(("bash", *SHELL_OPTIONS))
"""What runs a command line; it belongs to what a recorded outcome holds for."""
_SIGPIPE = 128 + 13
_SHOWN_BYTES = 30_000
_FULL_BYTES = 1_000_000


@dataclass(frozen=True)
class CommandRun:
    """How a command ended, and its output as text for a model.

    Attributes:
        outcome: as the sandbox reports it.
        text: at most 30 kB of output, its middle cut out when there was more.
        disk_full: it failed and the worktree's disk is full, which may be the reason.
    """

    outcome: CommandOutcome
    text: str
    disk_full: bool

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
        if outcome.timed_out:
            return f"timed out after {outcome.duration_seconds:.0f} s, all its processes were ended"
        if outcome.exceeded == "output":
            return "ended because its output was too large"
        if outcome.exit_code is None:
            return f"ended by signal {outcome.signal}"
        if self.broken_pipe:
            return f"exit code {_SIGPIPE}: the next command of its pipe stopped reading (SIGPIPE)"
        return f"exit code {outcome.exit_code}"


class CommandRunner:
    """Runs command lines in worktrees; `hide` covers the product's own data."""

    def __init__(self, sandbox: Sandbox, *, hide: tuple[Path, ...]) -> None:
        self._sandbox = sandbox
        self._hide = hide

    async def environment(self, store: Store, oid: str) -> Environment:
        """Return the environment that a request was started with."""
        return Environment.model_validate_json(await store.get_blob(oid))

    async def run(
        self,
        worktree: WorktreeHandle,
        line: str,
        environment: Environment,
        *,
        timeout_seconds: float,
        extra: Mapping[str, str] | None = None,
    ) -> CommandRun:
        """Run one command line; every way in which it can end is a value.

        Raises:
            SandboxUnavailable: no command may run here.
            WorktreeBroken: the worktree was deleted while the command was being started.
        """
        mounts = Mounts(
            worktree=worktree.path,
            store=worktree.store,
            private_git=worktree.private_git,
            gitfile=worktree.gitfile,
            uid=worktree.uid or PAYLOAD_UID,
            hide=self._hide,
            shadows_checkout=Path(environment.checkout) if environment.checkout else None,
        )
        command = SandboxCommand(
            line=line,
            timeout_seconds=timeout_seconds,
            env={"PYTHONDONTWRITEBYTECODE": "1", "CI": "1", **(extra or {})},
            path=environment.path,
            virtual_env=Path(environment.virtual_env) if environment.virtual_env else None,
        )
        try:
            outcome = await self._sandbox.run(mounts, command)
        except (SandboxUnavailable, ValueError, OSError) as error:
            if _exists(worktree):
                raise
            raise WorktreeBroken(f"{worktree.path} was deleted: {error}") from error
        free = None if outcome.exit_code == 0 else free_bytes(worktree.path)
        full = free is not None and free < _FULL_BYTES
        return CommandRun(outcome, readable(outcome.output), disk_full=full)


def _exists(worktree: WorktreeHandle) -> bool:
    """Return whether all that a command needs of its worktree is there."""
    parts = (worktree.path, worktree.private_git, worktree.gitfile)
    return all(part.exists() for part in parts)


async def undo(worktree: WorktreeHandle, commit: str) -> None:
    """Bring a worktree back to a commit after a command that may have filled the disk.

    Raises:
        LowSpaceError: the disk is still full, so the command did not fill it.
    """
    await worktree.undo(commit)
    if low := low_space_reason(worktree.path, worktree.store):
        raise LowSpaceError(low)


def readable(output: bytes, limit: int = _SHOWN_BYTES) -> str:
    """Return output as valid text without terminal codes, head and tail when it is long."""
    if len(output) > limit:
        half = limit // 2
        cut = len(output) - 2 * half
        output = output[:half] + f"\n… {cut} bytes left out …\n".encode() + output[-half:]
    return for_people(output.decode("utf-8", "backslashreplace"), limit * 2)
