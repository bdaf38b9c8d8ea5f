"""What is started as one contained process, and how that process ended."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from domain.command_limits import CommandLimits
from infra.sandbox.types import Limit


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What to start, and its limits.

    Attributes:
        argv: given a file descriptor for bubblewrap's status lines and one for the marker the
            payload's first step writes, the whole argument vector.
        descriptors: further file descriptors to pass on; owned, and closed, by the caller.
        owner: user id that may reopen the output by name (`> /dev/stderr`), None for our own.
        timeout_seconds: wall clock; this and the other limits as of `SandboxCommand`.
        written: the folders on disk that it may fill.
    """

    argv: Callable[[int, int], Sequence[str]]
    descriptors: tuple[int, ...]
    owner: int | None
    timeout_seconds: float
    output_limit_bytes: int
    limits: CommandLimits
    written: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class ProcessExit:
    """How a contained process ended.

    Attributes:
        started: the payload's first step ran; False is a failure of the launcher.
        returncode: of the launcher, negative for a signal it died of.
        exceeded: the limit at which it was ended.
        duration_seconds: from the start to the end of its last process.
        output: stdout and stderr as they came, up to the limit.
    """

    started: bool
    returncode: int
    exceeded: Limit | None
    duration_seconds: float
    output: bytes
