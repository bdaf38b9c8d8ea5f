"""One contained process from start to end: its output, its limits, its certain death.

Pipes, process file descriptors and bubblewrap's status lines are handled here; what the sandbox
looks like inside is not known. In every case (an end, a time limit, a flood of output, a
cancellation), the whole process namespace has ended when `supervise` returns or raises.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable

from infra.sandbox.disk_usage import DiskWatch
from infra.sandbox.launch import Launch, ProcessExit
from infra.sandbox.types import Limit
from infra.sandbox.usage import (
    family,
    holds_more,
    keep_first_victims,
    system_kills,
    unnamed_files,
)

_READ_BYTES = 262_144
_LINGER_SECONDS = 10.0
_SPARE_LAUNCHER_SECONDS = 1.0
_STATUS_LIMIT_BYTES = 65_536
_WATCH_SECONDS = 0.25
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)


async def supervise(launch: Launch) -> ProcessExit:
    """Start a process, pump its output, end it in time, and wait until all of it is gone.

    Must be awaited in a loop whose thread lives as long as the worker: the kernel ends the
    process with the *thread* that started it.

    Raises:
        OSError: the launcher could not be started, or its processes would not die.
    """
    contained = _Contained(launch)
    watch = asyncio.create_task(contained.watch_use())
    try:
        async with asyncio.timeout(launch.timeout_seconds):
            exceeded = await contained.outcome
    except TimeoutError:
        exceeded = "time"
    finally:
        unwatched = watch.done() and watch.exception()
        watch.cancel()
        await contained.end()
    if unwatched:
        raise unwatched
    return await asyncio.to_thread(contained.ending, exceeded)


class _Contained:
    """The running process: read when the loop says so, until its last process has ended."""

    def __init__(self, launch: Launch) -> None:
        self._loop = asyncio.get_running_loop()
        self._launch = launch
        self._output = bytearray()
        self._status = bytearray()
        self._disk = DiskWatch(launch.written, launch.limits.disk_bytes)
        self._killed_before = system_kills()
        self._marked = False
        self._namespace: int | None = None
        self._open: set[int] = set()
        self.outcome: asyncio.Future[Limit | None] = self._loop.create_future()
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._started_at = time.monotonic()
        self._duration_seconds = 0.0
        self._start()

    def _start(self) -> None:
        pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(3)]
        (self._output_fd, output), (self._status_fd, status), (self._marker_fd, marker) = pipes
        self._open.update(reader for reader, _ in pipes)
        try:
            if self._launch.owner is not None:
                os.fchown(output, self._launch.owner, -1)
            self._process = subprocess.Popen(
                self._launch.argv(status, marker),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(status, marker, *self._launch.descriptors),
                env={},  # anything here could be read inside, in /proc/1/environ
                cwd="/",
                start_new_session=True,
            )
        except BaseException:
            self._close_all()
            raise
        finally:
            for _, writer in pipes:
                os.close(writer)
        self._exit_fd = self._process_descriptor()
        self._watch(self._output_fd, self._read_output)
        self._watch(self._status_fd, self._read_status)
        self._watch(self._exit_fd, self._exited)

    def _process_descriptor(self) -> int:
        """Open the launcher's process descriptor; a kernel without them must not leak a process."""
        try:
            return os.pidfd_open(self._process.pid)
        except OSError:
            self._process.kill()
            self._process.wait()
            self._close_all()
            raise

    def _watch(self, descriptor: int, callback: Callable[[], None]) -> None:
        os.set_blocking(descriptor, False)
        self._open.add(descriptor)
        self._loop.add_reader(descriptor, callback)

    def _close(self, descriptor: int) -> None:
        if descriptor in self._open:
            self._open.discard(descriptor)
            self._loop.remove_reader(descriptor)
            os.close(descriptor)

    def _close_all(self) -> None:
        for descriptor in tuple(self._open):
            self._close(descriptor)

    def _read_output(self) -> None:
        piece = _read(self._output_fd)
        if piece is None:
            return
        if not piece:
            self._close(self._output_fd)
            return
        limit = self._launch.output_limit_bytes
        self._output += piece
        if len(self._output) > limit:
            del self._output[limit:]
            self._decide("output")

    def _read_status(self) -> None:
        """Read the first process of the namespace from the launcher's first status line."""
        piece = _read(self._status_fd)
        if piece is None:
            return
        self._status += piece[: _STATUS_LIMIT_BYTES - len(self._status)]
        if self._namespace is None and (child := _child_pid(self._status)) is not None:
            # Opened while its parent lives, so the number cannot mean another process yet.
            with contextlib.suppress(ProcessLookupError):
                self._namespace = os.pidfd_open(child)
                self._watch(self._namespace, self._namespace_ended)
        if not piece:
            self._close(self._status_fd)
            self._settle()

    def _namespace_ended(self) -> None:
        """Note the end of the namespace's first process: the kernel reports it after all others."""
        if self._namespace is not None:
            self._close(self._namespace)
        self._settle()

    def _exited(self) -> None:
        self._close(self._exit_fd)
        self._decide(None)
        self._settle()

    async def watch_use(self) -> None:
        """End the processes once they are too many, or hold too much memory or disk."""
        while not self.outcome.done():
            await asyncio.sleep(_WATCH_SECONDS)
            child = _child_pid(self._status)
            if child is not None:
                exceeded = await asyncio.to_thread(self._exceeded, child)
                if exceeded is not None:
                    self._decide(exceeded)

    def _exceeded(self, first: int) -> Limit | None:
        """Return which limit the descendants of the namespace's first process exceed."""
        limits = self._launch.limits
        processes = family(first)
        if sum(each.threads for each in processes) >= limits.processes:
            return "processes"
        keep_first_victims(processes)
        if holds_more(processes, limits.memory_bytes):
            return "memory"
        unnamed = unnamed_files(processes).disk_bytes
        return "disk" if self._disk.exceeded(unnamed) else None

    def _decide(self, exceeded: Limit | None) -> None:
        """Keep the first reason to end: the launcher's own end, or a limit."""
        if not self.outcome.done():
            self.outcome.set_result(exceeded)

    def _settle(self) -> None:
        """Note that everything has ended once launcher, status pipe and namespace have."""
        waiting = {self._exit_fd, self._status_fd, self._namespace} & self._open
        if not waiting and not self._gone.done():
            self._gone.set_result(None)

    def _kill(self, *, spare_launcher: bool) -> None:
        """Kill the namespace's first process, and with it all others, then the launcher.

        A launcher killed before it has signalled its child could leave that child waiting for
        ever: with `spare_launcher`, one that has not come so far is left alone.
        """
        if spare_launcher and self._namespace is None and self._status_fd in self._open:
            return
        if self._namespace in self._open and self._namespace is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._namespace, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> None:
        """Kill what still runs and wait for it, even while being cancelled.

        Raises:
            TimeoutError: processes are still there after ten seconds of being killed.
        """
        cancelled = False
        start = self._loop.time()
        try:
            while not self._gone.done() and self._loop.time() < start + _LINGER_SECONDS:
                self._kill(spare_launcher=self._loop.time() < start + _SPARE_LAUNCHER_SECONDS)
                try:
                    await asyncio.wait((self._gone,), timeout=0.05)
                except asyncio.CancelledError:
                    cancelled = True
        finally:
            self._finish()
        if cancelled:
            raise asyncio.CancelledError
        if not self._gone.done():
            raise TimeoutError("Contained processes outlived their SIGKILL.")

    def _finish(self) -> None:
        """Read what is left in the pipes, reap the launcher, close everything."""
        while self._output_fd in self._open and self._more_output():
            pass
        os.set_blocking(self._marker_fd, False)
        self._marked = bool(_read(self._marker_fd))
        self._close_all()
        if self._gone.done():
            self._process.wait()
        self._duration_seconds = time.monotonic() - self._started_at

    def _more_output(self) -> bool:
        before = len(self._output)
        self._read_output()
        return before < len(self._output) < self._launch.output_limit_bytes

    def ending(self, exceeded: Limit | None) -> ProcessExit:
        """Return how it ended; called after `end`."""
        killed = self._process.returncode in _KILLED and system_kills() > self._killed_before
        if exceeded is None and killed:
            exceeded = "system memory"
        if exceeded is None and self._disk.exceeded(0, at_once=True):
            exceeded = "disk"
        return ProcessExit(
            started=self._marked,
            returncode=self._process.returncode,
            exceeded=exceeded,
            duration_seconds=self._duration_seconds,
            output=bytes(self._output),
        )


def _read(descriptor: int) -> bytes | None:
    """Return what can be read now: empty at the end of the pipe, None when there is nothing."""
    try:
        return os.read(descriptor, _READ_BYTES)
    except BlockingIOError:
        return None


def _child_pid(status: bytes | bytearray) -> int | None:
    """Find the namespace's first process in the launcher's status lines (one JSON object each)."""
    for line in bytes(status).split(b"\n")[:-1]:
        try:
            fields = json.loads(line)
        except ValueError:
            continue
        if isinstance(fields, dict) and isinstance(fields.get("child-pid"), int):
            return int(fields["child-pid"])
    return None
