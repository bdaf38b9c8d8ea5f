"""What a command gets from its process: environment, clock, streams; no global is read."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO


@dataclass(frozen=True)
class CliContext:
    """The process around one command.

    Attributes:
        folder: the caller's working directory.
        now: seconds since 1970.
        user: the caller's name, recorded with answers.
        program: how the caller runs starter.py, for the commands that are shown.
        lasting: requests outlive this process; False for a demonstration that cleans up.
    """

    environ: Mapping[str, str]
    folder: Path
    now: Callable[[], float]
    user: str = ""
    program: str = "python starter.py"
    lasting: bool = True
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)

    def print_out(self, *lines: str) -> None:
        """Print lines of a result, exactly as they are."""
        _write(self.stdout, lines)

    def print_err(self, *lines: str) -> None:
        """Print lines about progress or an error, exactly as they are."""
        _write(self.stderr, lines)


def _write(stream: TextIO, lines: tuple[str, ...]) -> None:
    stream.writelines(f"{line}\n" for line in lines)
    stream.flush()
