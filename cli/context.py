"""What a command gets from its process: environment, clock, streams; no global is read."""

import io
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from cli.wrapping import prose
from domain.text import visible


@dataclass(frozen=True)
class CliContext:
    """The process around one command.

    Attributes:
        folder: the caller's working directory.
        now: seconds since 1970.
        user: the caller's name, recorded with answers.
        program: how the caller runs starter.py, for the commands that are shown.
        name: by which the caller called it, for its help pages.
        pager: what GIT_PAGER names; None when it is not set.
        stdin: where `-` reads from; an editor is opened only where it is a terminal.
        lasting: requests outlive this process; False for a demonstration that cleans up.
    """

    environ: Mapping[str, str]
    folder: Path
    now: Callable[[], float]
    user: str = ""
    program: str = "python starter.py"
    name: str = "starter.py"
    pager: str | None = None
    lasting: bool = True
    stdin: TextIO = field(default_factory=lambda: sys.stdin or _nothing())
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)

    def columns(self) -> int:
        """Return the width of the terminal to which results go; 0 where they go elsewhere."""
        return shutil.get_terminal_size().columns if self.stdout.isatty() else 0

    def print_out(self, *lines: str) -> None:
        """Print lines of a result; what moves a cursor or hides is written out."""
        _write(self.stdout, lines)

    def print_prose(self, *lines: str, commands: Iterable[str] = ()) -> None:
        """Print lines of a result; on a terminal broken between words, without cutting commands.

        `commands`: beginnings of commands beside those of this program.
        """
        self.print_out(*prose(lines, self.columns(), commands=(self.program, *commands)))

    def print_err(self, *lines: str) -> None:
        """Print lines about progress or an error; what moves a cursor or hides is written out."""
        _write(self.stderr, lines)


def _nothing() -> TextIO:
    """Return an input without anything in it, for a process whose own is closed."""
    return io.TextIOWrapper(io.BytesIO())


def _write(stream: TextIO, lines: tuple[str, ...]) -> None:
    stream.writelines(f"{visible(line)}\n" for line in lines)
    stream.flush()
