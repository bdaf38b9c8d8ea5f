"""Contents parsed by processes side by side, each fed by a git of its own, within a time limit."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from infra.git.command import GitCommand
from infra.git.process_group import dies_with_parent, end_group, start

_SECONDS: Final = 1.2
"""For parsing all others, once a map; what is not parsed by then is not in it."""
_START_SECONDS: Final = 10.0
"""For the first content: a small repository is read whole, also on a slow machine."""
_PARSERS: Final = 2
"""At most: agents and their commands work beside them."""
_FILES_EACH: Final = 100
"""Contents for which a further process is worth its start."""
_LINE: Final = 4 << 20
_HERE: Final = str(Path(__file__).resolve().parents[2])
_BATCH: Final = ("cat-file", "--batch=%(objectsize) %(rest)", "--buffer")


async def parse(git: GitCommand, contents: Mapping[str, tuple[str, int]]) -> dict[str, bytes]:
    """Return a line of JSON for each content that was parsed in time, by object id.

    Args:
        git: of the repository that has them.
        contents: suffix and size in bytes by object id; the first ones are parsed first.
    """
    found: dict[str, bytes] = {}
    async with AsyncExitStack() as stack:
        parts = [
            (part, await stack.enter_async_context(_parser(git, part)))
            for part in _shares(contents)
        ]
        with contextlib.suppress(TimeoutError):  # what there is by then serves
            async with asyncio.timeout(_START_SECONDS) as limit, asyncio.TaskGroup() as group:
                for part, process in parts:
                    group.create_task(_collect(process, part, found, limit))
    return found


def _shares(contents: Mapping[str, tuple[str, int]]) -> list[dict[str, str]]:
    """Return the contents as each process gets them, with about as much to read in each."""
    count = min(_PARSERS, os.cpu_count() or 1, -(-len(contents) // _FILES_EACH))
    shares: list[dict[str, str]] = [{} for _ in range(count)]
    totals = [0] * count
    for oid, (suffix, size) in contents.items():
        least = totals.index(min(totals))
        totals[least] += size
        shares[least][oid] = suffix
    return [share for share in shares if share]


@contextlib.asynccontextmanager
async def _parser(
    git: GitCommand, contents: Mapping[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Lend a process that parses these contents; git writes them to it, without a copy here."""
    source, sink = os.pipe2(os.O_CLOEXEC)
    async with AsyncExitStack() as stack:
        try:
            reader = await git.spawn(*_BATCH, stdout=sink, stderr=asyncio.subprocess.DEVNULL)
            stack.push_async_callback(end_group, reader)
            process = await _started(source)
            stack.push_async_callback(end_group, process)
        finally:
            os.close(source)
            os.close(sink)
        feeding = asyncio.create_task(_feed(reader, contents))
        stack.push_async_callback(_end, feeding)
        yield process


async def _started(source: int) -> asyncio.subprocess.Process:
    words = (sys.executable, "-P", "-m", "infra.symbols")
    return await start(
        *dies_with_parent(), *words,
        stdin=source,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PYTHONPATH": os.pathsep.join(filter(None, (_HERE, *sys.path)))},
        cwd="/",
        limit=_LINE,
    )  # fmt: skip


async def _feed(reader: asyncio.subprocess.Process, contents: Mapping[str, str]) -> None:
    """Name the contents to git, with the suffixes that it puts before them."""
    assert reader.stdin is not None  # noqa: S101 - a pipe was asked for
    with contextlib.suppress(ConnectionError):
        lines = (f"{oid} {suffix}\n" for oid, suffix in contents.items())
        reader.stdin.write("".join(lines).encode())
        await reader.stdin.drain()
        reader.stdin.close()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def _collect(
    process: asyncio.subprocess.Process,
    contents: Mapping[str, str],
    found: dict[str, bytes],
    limit: asyncio.Timeout,
) -> None:
    """Read answers; once there is one of any process, the others have `_SECONDS`."""
    assert process.stdout is not None  # noqa: S101 - a pipe was asked for
    for oid in contents:
        try:
            line = await process.stdout.readline()
        except ValueError:  # longer than the limit
            return
        if not line.endswith(b"\n"):
            return
        if not found:
            limit.reschedule(asyncio.get_running_loop().time() + _SECONDS)
        found[oid] = line
