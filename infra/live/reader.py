"""Read what models say while they say it, from the files of the calls that run on this host."""

import contextlib
import fcntl
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from infra.live.entries import CallAbout, Part, read_about, read_piece

_KEPT_CHARS = 4_000
"""Of a part: the end of what came."""
_MOST_READ = 1 << 20
_QUIET_SECONDS = 2.0
"""A file that has not grown for so long is looked at: whether its process lives."""


@dataclass(frozen=True)
class RunningReply:
    """What has come of a running reply.

    Attributes:
        parts: in order, each with the end of its text; a call's text is the tool's name.
        chars: of all that came.
        seconds: since the call was seen.
    """

    about: CallAbout
    parts: tuple[tuple[Part, str], ...] = ()
    chars: int = 0
    seconds: float = 0.0


class LiveReader:
    """Follows the running calls of one request; every call of `replies` reads on."""

    def __init__(self, folder: Path, request_key: str) -> None:
        self._folder = folder
        self._prefix = f"{request_key}."
        self._files: dict[str, _Follower] = {}

    def replies(self) -> Mapping[str, RunningReply]:
        """Return the running calls by conversation; empty where none is shown on this host."""
        names = self._names()
        for gone in self._files.keys() - names:
            self._files.pop(gone).close()
        found = {}
        for name in sorted(names):
            follower = self._files.setdefault(name, _Follower(self._folder / name))
            if reply := follower.read():
                found[reply.about.conversation] = reply
        return found

    def close(self) -> None:
        """Close the files."""
        while self._files:
            self._files.popitem()[1].close()

    def _names(self) -> set[str]:
        try:
            return {path.name for path in self._folder.glob(f"{self._prefix}*")}
        except OSError:
            return set()


class _Follower:
    """Reads one file on, and the one that takes its place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None
        self._forget()

    def _forget(self) -> None:
        self._inode = -1
        self._rest = b""
        self._about: CallAbout | None = None
        self._parts: list[tuple[Part, str]] = []
        self._chars = 0
        self._since = self._grew = time.monotonic()
        self._dead = False

    def read(self) -> RunningReply | None:
        """Return what has come so far; None of a file of a process that has ended."""
        try:
            self._follow()
            if data := self._fresh():
                self._grew = time.monotonic()
                self._take(data)
            elif time.monotonic() - self._grew > _QUIET_SECONDS:
                self._dead = self._left_behind()
        except OSError:
            return None
        if self._about is None or self._dead:
            return None
        return RunningReply(
            self._about, tuple(self._parts), self._chars, time.monotonic() - self._since
        )

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _follow(self) -> None:
        """Open the file that stands there now, unless it is the one in hand."""
        inode = self._path.stat(follow_symlinks=False).st_ino
        if self._descriptor is not None and inode == self._inode:
            return
        self.close()
        before = self._about
        parts, chars, since = self._parts, self._chars, self._since
        self._forget()
        self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        self._inode = os.fstat(self._descriptor).st_ino
        self._take(self._fresh())
        if before is not None and before == self._about:
            # The same call goes on in a new file, since the old one had become too long.
            self._parts = parts + self._parts
            self._chars, self._since = max(chars, self._chars), since

    def _fresh(self) -> bytes:
        return os.read(self._descriptor, _MOST_READ) if self._descriptor is not None else b""

    def _take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for raw in lines:
            line = raw.decode("utf-8", "replace")
            if self._about is None:
                self._about = read_about(line)
            elif piece := read_piece(line):
                self._chars = piece.chars
                self._add(piece.part, piece.text)

    def _add(self, part: Part, text: str) -> None:
        if self._parts and self._parts[-1][0] is part and part is not Part.CALLS:
            text = (self._parts.pop()[1] + text)[-_KEPT_CHARS:]
        elif not text:
            return
        self._parts.append((part, text))
        del self._parts[:-20]

    def _left_behind(self) -> bool:
        """Whether the process that wrote it has ended: then nobody holds its lock."""
        if self._descriptor is None:
            return True
        with contextlib.suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            return True
        return False
