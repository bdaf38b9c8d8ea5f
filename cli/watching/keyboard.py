"""A terminal that gives single keys, and is always given back as it was."""

import asyncio
import codecs
import contextlib
import os
import re
import signal
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO

_KEY = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1bO.|\x1b|.", re.DOTALL)
_READ_BYTES = 4_096
Take = Callable[[Sequence[str]], None]
"""Takes the keys that came in one moment."""


def has_keyboard(stdin: TextIO, stdout: TextIO) -> bool:
    """Whether a person at a terminal can press keys here: not in a pipe, nor in the background."""
    try:
        if not (stdin.isatty() and stdout.isatty()):
            return False
        return os.tcgetpgrp(stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False


class Keyboard:
    """Single keys of a terminal, from `listen` until its block ends.

    However the block ends, the terminal is as it was before it: an exception, Ctrl-C and SIGTERM,
    which cancel the command, and Ctrl-Z.
    """

    def __init__(self, stdin: TextIO, *, redraw: Callable[[], None]) -> None:
        self._descriptor = stdin.fileno()
        self._redraw = redraw
        self._before: list[Any] = []
        self._take: Take = lambda _: None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    @contextlib.contextmanager
    def listen(self, take: Take) -> Iterator[None]:
        """Give keys to `take` while the block lasts; what was typed before it is dropped."""
        self._take = take
        self._before = termios.tcgetattr(self._descriptor)
        loop = asyncio.get_running_loop()
        signals = {signal.SIGTSTP: self._stop, signal.SIGCONT: self._go_on}
        try:
            self._single_keys()
            loop.add_reader(self._descriptor, self._read)
            for number, handler in signals.items():
                loop.add_signal_handler(number, handler)
            yield
        finally:
            loop.remove_reader(self._descriptor)
            for number in signals:
                loop.remove_signal_handler(number)
            self._restore()

    @contextlib.contextmanager
    def lent(self) -> Iterator[None]:
        """Give the terminal to another program while the block lasts; Ctrl-C is for that one."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._descriptor)
        self._restore()
        # Not ignored: that the program would inherit.
        before = signal.signal(signal.SIGINT, lambda *_: None)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)
            self._single_keys()
            loop.add_reader(self._descriptor, self._read)

    def _single_keys(self) -> None:
        tty.setcbreak(self._descriptor, termios.TCSAFLUSH)

    def _restore(self) -> None:
        # A terminal that is gone needs nothing back.
        with contextlib.suppress(termios.error, OSError):
            termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, self._before)

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except OSError:
            data = b""
        if not data:
            # The terminal is gone: a closed one would be ready for ever.
            asyncio.get_running_loop().remove_reader(self._descriptor)
            return
        keys = [_named(key) for key in _KEY.findall(self._decoder.decode(data))]
        self._take(keys)

    def _stop(self) -> None:
        """Stop this process as Ctrl-Z does, with the terminal as it was before."""
        self._restore()
        os.write(self._descriptor, b"\x1b[?25h")
        os.kill(os.getpid(), signal.SIGSTOP)

    def _go_on(self) -> None:
        self._single_keys()
        self._redraw()


def _named(key: str) -> str:
    """Return a key by one name, whichever of its sequences the terminal sends."""
    return {"\n": "\r", "\b": "\x7f", "\x1bOA": "\x1b[A", "\x1bOB": "\x1b[B"}.get(
        key, {"\x1bOC": "\x1b[C", "\x1bOD": "\x1b[D"}.get(key, key)
    )
