"""A child process in its own session that cannot outlive its parent."""

import asyncio
import contextlib
import ctypes
import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_MAX_LOG_BYTES = 8 * 1024 * 1024
# Loaded before any fork: a forked child of a process with threads must not load a library.
_PRCTL = ctypes.CDLL(None, use_errno=True).prctl


class ChildProcess:
    """A running child; start it, wait for it and stop it from one event loop on the main thread.

    The kernel kills it when the thread that started it ends, so a SIGKILL of the parent leaves no
    child behind. Its output is appended to a log file.

    Attributes:
        pid: process id, also of its session and process group.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        folder: Path | None = None,
        inherited: Sequence[int] = (),
    ) -> None:
        with open_log(log) as output:
            self._process = subprocess.Popen(
                command,
                env=environment,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=tuple(inherited),
                # Safe here: the function only makes two system calls.
                preexec_fn=_die_with_parent(os.getpid()),  # noqa: PLW1509
            )
        self.pid = self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        if self._process.returncode is not None:
            return False
        # Without reaping it: until it is reaped no other process gets its group's number.
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    async def wait(self) -> int:
        """Wait for its end and return the exit code; a negative one is the number of a signal.

        Processes left in its group are killed.
        """
        if self.alive:
            await _wait_for_exit(self.pid)
        if self._process.returncode is None:
            self._kill_group()
        return self._process.wait()

    def terminate(self) -> None:
        """Send SIGTERM, without waiting."""
        if self.alive:
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it and its group, without waiting."""
        if self.alive:
            self._kill_group()

    async def stop(self, *, grace_seconds: float) -> int:
        """Send SIGTERM, kill its group after the grace period, and return the exit code."""
        self.terminate()
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(self.wait(), grace_seconds)
        self._kill_group()
        return await self.wait()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


def open_log(path: Path) -> io.FileIO:
    """Open a log for appending, without a buffer; a long log is first renamed to `.1`."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > _MAX_LOG_BYTES:
        path.replace(path.with_name(f"{path.name}.1"))
    return io.FileIO(path, "ab", opener=lambda name, flags: os.open(name, flags, 0o600))


def log_tail(path: Path, *, lines: int = 12) -> str:
    """Return the last lines of a log, indented; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 16_384))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "".join(f"\n  {line}" for line in text.splitlines()[-lines:])


def _die_with_parent(parent: int) -> Callable[[], None]:
    def before_exec() -> None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have died before the line above took effect.
        if os.getppid() != parent:
            os._exit(1)

    return before_exec


async def _wait_for_exit(pid: int) -> None:
    """Wait until a child ends, through a pidfd, without a thread or polling."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    pidfd = os.pidfd_open(pid)
    loop.add_reader(pidfd, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


def end_process(code: int) -> NoReturn:
    """Flush standard output and error and end the process at once with an exit code.

    The interpreter's own exit can block for ever: it waits for the SDK's threads while one of
    them, with the reply to an abandoned call, waits for the interpreter. It can also
    crash: a thread of the SDK that has just handed over a result still releases Python objects
    (https://github.com/temporalio/sdk-python/issues/300).
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def describe_exit(code: int) -> str:
    """Return in words how a process ended; a negative exit code is the number of a signal."""
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
