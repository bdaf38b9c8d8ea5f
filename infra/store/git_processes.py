"""The two git children that a store keeps running: one reads objects, one moves references.

Each is started when first needed, used by one task at a time, and started again after it died. An
exchange that was cut (an error, a cancellation) ends the child, because its stream would be out of
step.
"""

import asyncio
import contextlib
import fcntl
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import IO, TypeVar, cast

from typing_extensions import override

from infra.git.command import STDERR_LIMIT, GitCommand, bounded
from infra.git.process_group import end_group
from infra.locks import holder, take_lock
from infra.store.errors import StoreError
from infra.store.object_format import GitObject, ObjectKind

T = TypeVar("T")

LOCK_SECONDS = 120.0
"""How long a writer waits for another one, which takes milliseconds, or seconds to pack."""


class ChildDiedError(Exception):
    """The child ended before it answered; its last words are bounded, empty when it was killed."""

    def __init__(self, stderr: str) -> None:
        self.stderr = stderr
        super().__init__(stderr or "the git child ended without a message")


class GitProcess:
    """A long-lived git process that answers requests on stdin in order on stdout.

    It keeps the open file descriptors that it shares, too.
    """

    def __init__(self, git: GitCommand, *args: str, share: tuple[int, ...] = ()) -> None:
        self._git = git
        self._args = args
        self._share = share
        self._in_use = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._messages: IO[bytes] | None = None

    async def ask(
        self, request: bytes, answer: Callable[[asyncio.StreamReader], Awaitable[T]]
    ) -> T:
        """Send complete request lines and read exactly what the child prints; a caller at a time.

        Raises:
            ChildDiedError: it ended meanwhile; whether it acted on the request is unknown.
        """
        async with self._in_use:
            process = self._process or await self._start()
            if process.stdin is None or process.stdout is None:
                raise ChildDiedError("no pipes")
            try:
                process.stdin.write(request)
                await process.stdin.drain()
                return await answer(process.stdout)
            except (asyncio.IncompleteReadError, ConnectionError) as cut:
                raise ChildDiedError(await self._end()) from cut
            except BaseException:
                await self._end()
                raise

    async def close(self) -> None:
        """End the child; a later request starts a new one."""
        async with self._in_use:
            await self._end()

    async def _start(self) -> asyncio.subprocess.Process:
        # A file, not a pipe: it need not be emptied while the child lives.
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115 - closed in _end
        try:
            self._process = await self._git.spawn(
                *self._args, stderr=self._messages, pass_fds=self._share
            )
        except BaseException:
            self._messages.close()
            raise
        return self._process

    async def _end(self) -> str:
        process, self._process = self._process, None
        messages, self._messages = self._messages, None
        try:
            if process is not None:
                await end_group(process)
            if messages is None:
                return ""
            messages.seek(0)
            return bounded(messages.read().decode("utf-8", "replace").strip(), STDERR_LIMIT)
        finally:
            if messages is not None:
                messages.close()


class CatFileProcess(GitProcess):
    """`git cat-file --batch-command`: objects and ids by every name that git understands."""

    def __init__(self, git: GitCommand) -> None:
        super().__init__(git, "cat-file", "--batch-command")

    async def contents(self, name: str) -> GitObject | None:
        """Return the named object; None = there is none, or the name is ambiguous."""

        async def read(stream: asyncio.StreamReader) -> GitObject | None:
            head = _parse_head(await stream.readuntil(b"\n"))
            if head is None:
                return None
            oid, kind, size = head
            data = await stream.readexactly(size + 1)
            return GitObject(oid, kind, data[:-1])

        return await self._ask_twice(b"contents " + _line(name), read)

    async def identify(self, name: str) -> str | None:
        """Return the id of the named object; None as in `contents`."""

        async def read(stream: asyncio.StreamReader) -> str | None:
            head = _parse_head(await stream.readuntil(b"\n"))
            return None if head is None else head[0]

        return await self._ask_twice(b"info " + _line(name), read)

    async def _ask_twice(
        self, request: bytes, answer: Callable[[asyncio.StreamReader], Awaitable[T]]
    ) -> T:
        # Reading has no effect, so a child that was killed meanwhile is simply replaced.
        try:
            return await self.ask(request, answer)
        except ChildDiedError:
            return await self.ask(request, answer)


def _line(name: str) -> bytes:
    if not name or "\n" in name or "\0" in name:
        raise ValueError(f"{name!r} does not fit on one line")
    return os.fsencode(name) + b"\n"


def _parse_head(line: bytes) -> tuple[str, ObjectKind, int] | None:
    words = line.removesuffix(b"\n").split(b" ")
    if words[-1] in {b"missing", b"ambiguous"}:
        return None
    oid, kind, size = (word.decode("ascii") for word in words)
    return oid, cast("ObjectKind", kind), int(size)


class UpdateRefProcess(GitProcess):
    """`git update-ref --stdin`: one transaction at a time, across all processes of this host.

    The transactions exclude each other by a lock on a file. The child shares the open file, so
    after a kill of its parent the lock is held until the child, too, has ended. The holder of the
    lock therefore knows that a reference's `.lock` file belongs to no living writer of the product.
    """

    def __init__(self, git: GitCommand, lock_file: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._lock_file = lock_file
        self._lock_fd = os.open(lock_file, flags, 0o644)
        self._mutex = asyncio.Lock()
        super().__init__(git, "update-ref", "--stdin", share=(self._lock_fd,))

    @contextlib.asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        """Hold the right to move references; not re-entrant.

        Raises:
            StoreError: another process kept it all the time.
        """
        async with self._mutex:
            await self._take()
            try:
                yield
            finally:
                fcntl.flock(self._lock_fd, fcntl.LOCK_UN)

    async def _take(self) -> None:
        try:
            async with asyncio.timeout(LOCK_SECONDS):
                await take_lock(self._lock_fd)
        except TimeoutError:
            raise StoreError(
                f"{holder(self._lock_file)} has kept the references of the store for "
                f"{LOCK_SECONDS:.0f} s: end it, then this goes on by itself"
            ) from None

    async def transact(self, commands: bytes) -> None:
        """Run the commands as one transaction; the caller holds the lock.

        Raises:
            ChildDiedError: refused (`fatal:` is in its message) or killed (outcome unknown).
        """

        async def read(stream: asyncio.StreamReader) -> None:
            for _ in ("start", "prepare", "commit"):
                await stream.readuntil(b"\n")

        await self.ask(b"start\n" + commands + b"prepare\ncommit\n", read)

    @override
    async def close(self) -> None:
        """End the child and close the lock file; the process is unusable afterwards."""
        await super().close()
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1
