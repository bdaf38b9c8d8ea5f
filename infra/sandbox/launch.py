"""What is started as one contained process, and how that process ended."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What to start, and its limits.

    Attributes:
        argv: given a file descriptor for bubblewrap's status lines and one for the marker the
            payload's first step writes, the whole argument vector.
        descriptors: further file descriptors to pass on; owned, and closed, by the caller.
        owner: user id that may reopen the output by name (`> /dev/stderr`), None for our own.
        environment: of the launcher itself, which the payload can read in /proc/1/environ.
        timeout_seconds: wall clock.
        output_limit_bytes: more output than this ends the process.
        memory_limit_bytes: more memory than this, of all processes together, ends them; looked
            at four times a second; None sets no limit.
    """

    argv: Callable[[int, int], Sequence[str]]
    descriptors: tuple[int, ...]
    owner: int | None
    environment: Mapping[str, str]
    timeout_seconds: float
    output_limit_bytes: int
    memory_limit_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class ProcessExit:
    """How a contained process ended.

    Attributes:
        started: the payload's first step ran; False is a failure of the launcher.
        returncode: of the launcher, negative for a signal it died of.
        timed_out: it was ended at its time limit.
        output_exceeded: it was ended for too much output.
        memory_exceeded: it was ended for too much memory.
        duration_seconds: from the start to the end of its last process.
        output: stdout and stderr as they came, up to the limit.
    """

    started: bool
    returncode: int
    timed_out: bool
    output_exceeded: bool
    memory_exceeded: bool
    duration_seconds: float
    output: bytes
