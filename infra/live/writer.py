"""Write what models say while they say it; never at the cost of a call.

A thread writes; the calls only leave their words with it. What cannot be written (a full disk, a
folder that is gone, a device that hangs) is not written, and the calls go on.
"""

import contextlib
import fcntl
import functools
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from domain.text import Redact
from infra.live.entries import CallAbout, Part, Piece, about_line, piece_line
from infra.live.words import WordStream

MOST_BYTES = 256 << 10
"""Of one file: then a new one takes its place, which goes on where the old one ended."""
_MOST_WAITING = 1 << 20
"""Characters that wait to be written; more are dropped."""
_PAUSE_SECONDS = 0.01
_CLOSE_SECONDS = 1.0
_MOST_REPEATED = 1_000

_log = logging.getLogger(__name__)


class LiveReplies:
    """The running calls of this process, a file each in a folder of its home.

    Args:
        folder: made when it is needed; readable by the home's owner alone.
        redact: takes the secrets out.
        secrets: of those with blanks in them no beginning is shown.
    """

    def __init__(
        self,
        folder: Path,
        redact: Redact,
        secrets: Sequence[str] = (),
        *,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._folder = folder
        self._words = functools.partial(WordStream, redact, secrets)
        self._most_bytes = most_bytes
        self._begun: dict[str, tuple[int, int]] = {}
        self._waiting: deque[tuple[LiveReply, Part | None, str]] = deque()
        self._size = 0
        self._lock = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextlib.contextmanager
    def reply(self, request_key: str, about: CallAbout) -> Iterator["LiveReply"]:
        """Show a reply for as long as the block lasts; its file goes with it."""
        reply = LiveReply(self, self._folder / _file_name(request_key, about), self._counted(about))
        self.take(reply, None, "begin")
        try:
            yield reply
        except BaseException:
            self.take(reply, None, "end")
            raise
        self._begun.pop(about.conversation, None)
        self.take(reply, None, "end")

    def take(self, reply: "LiveReply", part: Part | None, text: str) -> None:
        """Leave a piece for the thread; it is dropped when too much waits."""
        with self._lock:
            if self._closed or (part is not None and self._size > _MOST_WAITING):
                return
            self._waiting.append((reply, part, text))
            self._size += len(text)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="live", daemon=True)
                self._thread.start()
            self._lock.notify()

    def close(self) -> None:
        """Write what waits and end the thread; one that hangs is left behind."""
        with self._lock:
            self._closed = True
            self._lock.notify()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)

    def sweep(self) -> None:
        """Remove the files that killed processes have left."""
        with contextlib.suppress(OSError):
            for file in self._folder.iterdir():
                with contextlib.suppress(OSError), file.open("rb") as opened:
                    fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    file.unlink()

    def _counted(self, about: CallAbout) -> CallAbout:
        """Return the call with how often its turn was begun before, as far as is known here."""
        turn, times = self._begun.get(about.conversation, (about.turn, -1))
        again = times + 1 if turn == about.turn else 0
        if len(self._begun) >= _MOST_REPEATED:
            self._begun.clear()
        self._begun[about.conversation] = (about.turn, again)
        return replace(about, again=again)

    def _work(self) -> None:
        while True:
            with self._lock:
                while not self._waiting and not self._closed:
                    self._lock.wait()
                batch = list(self._waiting)
                self._waiting.clear()
                self._size = 0
                if not batch:
                    return
            for reply, part, text in batch:
                reply.work(part, text, self._words, self._most_bytes)
            for reply in dict.fromkeys(reply for reply, _, _ in batch):
                reply.flush()
            # What comes meanwhile is written in one piece.
            time.sleep(_PAUSE_SECONDS)


class LiveReply:
    """One running call: `hear` is called where its reply comes, all else by the thread."""

    def __init__(self, replies: LiveReplies, file: Path, about: CallAbout) -> None:
        self._replies = replies
        self._file = file
        self._about = about
        self._chars = 0
        self._bytes = 0
        self._part: Part | None = None
        self._words: WordStream | None = None
        self._lines: list[str] = []
        self._descriptor: int | None = None
        self._failed = False

    def hear(self, part: Part, text: str) -> None:
        """Take what came next of the reply; returns at once."""
        self._replies.take(self, part, text)

    def work(
        self, part: Part | None, text: str, words: Callable[[], WordStream], most_bytes: int
    ) -> None:
        """Do what was left: begin, end, or write a piece; an error ends only the showing."""
        if self._failed:
            return
        try:
            if part is not None:
                self._piece(part, text, words)
                if self._bytes > most_bytes:
                    self._open()
            elif text == "begin":
                self._folder()
                self._open()
            else:
                self._end()
        except Exception as error:  # noqa: BLE001 - a call never fails for its being shown
            self._give_up(error)

    def flush(self) -> None:
        """Write the lines that wait."""
        if self._failed or self._descriptor is None or not self._lines:
            return
        data = "".join(self._lines).encode("utf-8", "replace")
        self._lines.clear()
        try:
            self._bytes += os.write(self._descriptor, data)
        except OSError as error:
            self._give_up(error)

    def _folder(self) -> None:
        self._file.parent.mkdir(mode=0o700, exist_ok=True)

    def _open(self) -> None:
        """Put a new file in the place of the old one; a reader sees it whole or not at all."""
        draft = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        opened = os.open(draft, flags, 0o600)
        try:
            # By the lock a reader sees whether the process that writes still lives.
            with contextlib.suppress(OSError):
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._bytes = os.write(opened, about_line(self._about).encode())
            draft.replace(self._file)
        except OSError:
            os.close(opened)
            draft.unlink(missing_ok=True)
            raise
        self._close()
        self._descriptor = opened

    def _piece(self, part: Part, text: str, words: Callable[[], WordStream]) -> None:
        if self._words is None or part is not self._part or part is Part.CALLS:
            self._rest()
            self._part, self._words = part, words()
        self._chars += len(text)
        self._add(part, self._words.take(text))
        if part is Part.CALLS:
            self._rest()

    def _rest(self) -> None:
        """Write the last word of a part that another one follows."""
        if self._words is not None and self._part is not None and (rest := self._words.rest()):
            self._add(self._part, rest)

    def _add(self, part: Part, text: str) -> None:
        self._lines.append(piece_line(Piece(part, text, self._chars)))

    def _end(self) -> None:
        self._lines.clear()
        if self._descriptor is not None and _is_at(self._file, self._descriptor):
            self._file.unlink(missing_ok=True)
        self._close()

    def _give_up(self, error: Exception) -> None:
        self._failed = True
        _log.debug("a running reply is not shown: %s", error)
        with contextlib.suppress(OSError):
            self._end()

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether a path still names the open file: another attempt may have put its own there."""
    try:
        return os.path.samestat(path.stat(follow_symlinks=False), os.fstat(descriptor))
    except OSError:
        return False


def _file_name(request_key: str, about: CallAbout) -> str:
    return f"{request_key}.{about.conversation}".replace("/", "-")
