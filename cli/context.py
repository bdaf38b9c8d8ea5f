"""
What a command gets from its process: environment, clock, streams; nothing here reads a global.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console


@dataclass(frozen=True)
class CliContext:
    """
    The process around one command.

    Attributes:
        environ: environment variables of the caller.
        folder: the caller's working directory.
        now: seconds since 1970.
        user: the caller's name, recorded with answers.
        program: how the caller runs starter.py, for the commands that are shown.
        lasting: requests outlive this process; False for a demonstration that cleans up.
        out: where results go.
        err: where progress and problems go.
    """

    environ: Mapping[str, str]
    folder: Path
    now: Callable[[], float]
    user: str = ""
    program: str = "python starter.py"
    lasting: bool = True
    out: Console = field(default_factory=Console)
    err: Console = field(default_factory=lambda: Console(stderr=True))

    def say(self, *lines: str) -> None:
        """Print lines of a result, exactly as they are."""
        for line in lines:
            self.out.out(line, highlight=False)

    def tell(self, *lines: str) -> None:
        """Print lines about how it goes, exactly as they are."""
        for line in lines:
            self.err.out(line, highlight=False)
