"""A git child and its process group: fed, read to its end, or ended."""

import asyncio
import contextlib
import functools
import os
import signal
from typing import Any

GRACE_SECONDS = 5.0
"""Time a process group has between TERM and KILL: git removes its lock files on TERM only."""

PIPE_LIMIT = 1 << 20
"""Bytes buffered per pipe before the child has to wait for the reader."""


_SETPRIV = "/usr/bin/setpriv"


@functools.cache
def dies_with_parent() -> tuple[str, ...]:
    """Return the words before a program that let the kernel end it when its parent dies.

    More exactly when the thread dies that started it, so that one must live as long as the worker.
    TERM, because git removes its lock files then. Empty where the program for it is missing.
    """
    return (_SETPRIV, "--pdeathsig", "TERM") if os.access(_SETPRIV, os.X_OK) else ()


async def start(*words: str | os.PathLike[str], **options: Any) -> asyncio.subprocess.Process:
    """Start a child in a session of its own; options as of `asyncio.create_subprocess_exec`.

    When the caller is cancelled meanwhile, the child is ended with its group: asyncio would kill
    the child alone, and then wait until those that it started close its pipes.
    """
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(*words, start_new_session=True, **options)
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        await _end_once_started(starting)
        raise


async def _end_once_started(starting: asyncio.Future[asyncio.subprocess.Process]) -> None:
    while not starting.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait({starting})
    if starting.exception() is None:
        await end_group(starting.result())


async def converse(
    process: asyncio.subprocess.Process, stdin: bytes | None, max_bytes: int | None
) -> tuple[bytes, bytes, bool]:
    """Feed a child and read it to its end; return stdout, stderr, and whether stdout was cut.

    With `max_bytes`, at most so much of stdout is kept and the child ended there; not with stdin.
    """
    if max_bytes is None:
        out, err = await process.communicate(stdin)
        return out, err, False
    if stdin is not None or process.stdout is None or process.stderr is None:
        raise ValueError("max_bytes needs a command without stdin")
    async with asyncio.TaskGroup() as group:
        messages = group.create_task(process.stderr.read())
        out = await _read_at_most(process.stdout, max_bytes + 1)
        if len(out) > max_bytes:
            _signal_group(process.pid, signal.SIGKILL)  # it only reads: no lock to clean up
            while await process.stdout.read(PIPE_LIMIT):
                pass
    await process.wait()
    return out[:max_bytes], messages.result(), len(out) > max_bytes


async def _read_at_most(stream: asyncio.StreamReader, count: int) -> bytes:
    parts: list[bytes] = []
    missing = count
    while missing and (part := await stream.read(min(missing, PIPE_LIMIT))):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


async def end_group(process: asyncio.subprocess.Process) -> None:
    """End a child and everything in its process group: TERM, wait, then KILL.

    Safe for a child that already ended. The pipes are drained, or closed where a process that left
    the group holds them, so nothing stays open and no caller waits for long.
    """
    if process.stdin is not None:
        process.stdin.close()
    try:
        if process.returncode is None:
            _signal_group(process.pid, signal.SIGTERM)
        await _drained(process)
    finally:
        # Also after a quiet end: a child's child may have outlived its parent.
        _signal_group(process.pid, signal.SIGKILL)
    if not await _drained(process):
        process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - nothing public does


async def _drained(process: asyncio.subprocess.Process) -> bool:
    """Read a child to its end; return whether that came within the time of grace."""
    try:
        async with asyncio.timeout(GRACE_SECONDS):
            await process.communicate()
    except TimeoutError:
        return False
    return True


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
