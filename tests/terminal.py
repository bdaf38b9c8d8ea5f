"""A person's terminal: a pseudo-terminal with a program on it, and what stands on its screen."""

import codecs
import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

_SEQUENCE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b[=>()78].?|(\x1b)")
_MODES = 4
"""The parts of termios that a program changes: input, output, control and local modes."""


class Screen:
    """What stands on a terminal, of the few sequences that the programs here write."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns = columns
        self.rows = rows
        self.lines: list[str] = [""]
        self._row = self._column = 0

    def feed(self, text: str) -> None:
        """Take what a program wrote."""
        place = 0
        while place < len(text):
            found = _SEQUENCE.match(text, place)
            if found:
                self._move(found[1] or "", found[2] or "")
                place = found.end()
            else:
                self._write(text[place])
                place += 1

    def text(self) -> str:
        """Return the lines that are in sight."""
        return "\n".join(line.rstrip() for line in self.lines[-self.rows :])

    def _move(self, numbers: str, letter: str) -> None:
        count = int(numbers) if numbers.isdecimal() else 1
        match letter:
            case "A":
                self._row = max(self._row - count, 0)
            case "K":
                self.lines[self._row] = ""
            case "J":
                del self.lines[self._row + 1 :]

    def _write(self, char: str) -> None:
        if char == "\r":
            self._column = 0
        elif char == "\n":
            self._row += 1
            if self._row == len(self.lines):
                self.lines.append("")
        elif char.isprintable():
            if self._column >= self.columns:
                self._column = 0
                self._write("\n")
            line = self.lines[self._row].ljust(self._column)
            self.lines[self._row] = line[: self._column] + char + line[self._column + 1 :]
            self._column += 1


class Terminal:
    """A program on a pseudo-terminal; it is the terminal's foreground process group."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        environ: Mapping[str, str],
        folder: Path,
        columns: int = 100,
        rows: int = 30,
    ) -> None:
        self._master, slave = pty.openpty()
        self.screen = Screen(columns, rows)
        self._written = ""
        self._lock = threading.Lock()
        self.resize(columns, rows)
        self._slave = slave
        self.before = self.modes()
        self.process = subprocess.Popen(
            command,
            env={"TERM": "xterm-256color", **environ},
            cwd=folder,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_takes_terminal,  # noqa: PLW1509 - one system call
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while True:
            try:
                data = os.read(self._master, 65_536)
            except OSError:
                return
            text = decoder.decode(data)
            with self._lock:
                self._written += text
                self.screen.feed(text)

    @property
    def written(self) -> str:
        """All that the program wrote."""
        with self._lock:
            return self._written

    def seen(self) -> str:
        """Return what stands on the screen."""
        with self._lock:
            return self.screen.text()

    def modes(self) -> list[Any]:
        """Return the terminal's modes: echo, whole lines, signals."""
        return termios.tcgetattr(self._master)[:_MODES]

    def press(self, keys: str) -> None:
        """Type keys."""
        os.write(self._master, keys.encode())

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size, as dragging its window does."""
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)
        self.screen.columns, self.screen.rows = columns, rows

    def until(self, text: str, seconds: float = 30.0) -> str:
        """Wait until a text stands on the screen; return the screen."""
        return self.until_true(lambda screen: text in screen, text, seconds)

    def until_true(
        self, condition: Callable[[str], bool], what: str = "", seconds: float = 30.0
    ) -> str:
        """Wait until the screen is so; return it."""
        end = time.monotonic() + seconds
        while not condition(self.seen()):
            if time.monotonic() > end:
                raise AssertionError(f"{what!r} is not seen after {seconds} s:\n{self.seen()}")
            time.sleep(0.02)
        return self.seen()

    def ends(self, seconds: float = 30.0) -> int:
        """Wait until the program ends and all it wrote was read; return its exit code."""
        code = self.process.wait(seconds)
        time.sleep(0.1)
        return code

    def close(self) -> None:
        """End the program and the terminal."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._slave)
        os.close(self._master)


def _takes_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def terminal(
    command: Sequence[str],
    *,
    environ: Mapping[str, str],
    folder: Path,
    columns: int = 100,
    rows: int = 30,
) -> Iterator[Terminal]:
    """Have a program on a terminal for as long as the block lasts."""
    shown = Terminal(command, environ=environ, folder=folder, columns=columns, rows=rows)
    try:
        yield shown
    finally:
        shown.close()
