"""A git child and its process group: fed, read to its end, or ended."""

import asyncio
import contextlib
import os
import signal

GRACE_SECONDS = 5.0
"""Time a process group has between TERM and KILL: git removes its lock files on TERM only."""

PIPE_LIMIT = 1 << 20
"""Bytes buffered per pipe before the child has to wait for the reader."""


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

    Safe for a child that already ended. The pipes are drained, so nothing stays open.
    """
    if process.stdin is not None:
        process.stdin.close()
    try:
        if process.returncode is None:
            _signal_group(process.pid, signal.SIGTERM)
        async with asyncio.timeout(GRACE_SECONDS):
            await process.communicate()
    except TimeoutError:
        pass
    finally:
        # Also after a quiet end: a child's child may have outlived its parent.
        _signal_group(process.pid, signal.SIGKILL)
    await process.communicate()


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
