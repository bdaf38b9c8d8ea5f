"""The user's commands, run in a worktree: their PATH and virtual environment, our sandbox."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from contracts.repository import Environment
from domain.text import for_models
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
_SHOWN_CHARS = 30_000
_FULL_BYTES = 1_000_000


@dataclass(frozen=True)
class CommandRun:
    """How a command ended, and its output as text for a model.

    Attributes:
        outcome: as the sandbox reports it.
        whole: its output as valid text without terminal codes.
        disk_full: it failed and the worktree's disk is full, which may be the reason.
    """

    outcome: CommandOutcome
    whole: str
    disk_full: bool

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
            scratch=worktree.scratch,
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
        # A large output takes a moment, and the worker has other calls to answer.
        whole = await asyncio.to_thread(readable, outcome.output)
        return CommandRun(outcome, whole, disk_full=full)


def _exists(worktree: WorktreeHandle) -> bool:
    """Return whether all that a command needs of its worktree is there."""
    parts = (worktree.path, worktree.private_git, worktree.gitfile, worktree.scratch)
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
