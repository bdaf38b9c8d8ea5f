"""What one command may use of its host, and the sentences that say which limit ended it.

These numbers hold for the next command on the worker's host, also of a request that is open; a
setting names another. Time is each call's own, within `RunCommandArguments` and `RunChecks`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

MB = 1_000_000
_MOST_MEMORY = 4_000 * MB
_LEAST_PROCESSES = 512
_PROCESSES_EACH = 16
_SHARES = 8
_FEWEST_PROCESSES = 64
_FILE = 8_000 * MB
_DISK = 10_000 * MB
_SEALED_MEMORY = 2_000 * MB
_SEALED_PROCESSES = 256
_SEALED_DISK = 4_000 * MB

UNDONE = "all it wrote was undone and /tmp and HOME were emptied"
"""What becomes of a command that fills the disk."""

SETTINGS: Mapping[str, str] = MappingProxyType(
    {
        "memory": "ORCHESTCODE_COMMAND_MEMORY_MB",
        "processes": "ORCHESTCODE_COMMAND_PROCESSES",
        "disk": "ORCHESTCODE_COMMAND_DISK_MB",
    }
)
"""The setting of each limit that a person may move."""


@dataclass(frozen=True, kw_only=True)
class CommandLimits:
    """What one command may use.

    Attributes:
        memory_bytes: of all its processes together, and of its files in memory.
        processes: processes and threads at once.
        disk_bytes: files of the agent's worktree, /tmp and HOME together.
    """

    memory_bytes: int = _MOST_MEMORY
    processes: int = _LEAST_PROCESSES
    disk_bytes: int = _DISK


def file_bytes(limits: CommandLimits) -> int:
    """Return how large one file may grow."""
    return min(_FILE, limits.disk_bytes)


def command_limits(
    *,
    memory_bytes: int,
    processors: int,
    own_processes: int | None = None,
    memory_mb: int | None = None,
    processes: int | None = None,
    disk_mb: int | None = None,
) -> CommandLimits:
    """Return the limits of a host with so much memory and so many processors, or as set.

    `own_processes` is how many the worker's user may have, of which a command gets a share.
    """
    most = max(_LEAST_PROCESSES, _PROCESSES_EACH * processors)
    if own_processes is not None:
        most = min(most, max(own_processes // _SHARES, _FEWEST_PROCESSES))
    return CommandLimits(
        memory_bytes=memory_mb * MB if memory_mb else min(memory_bytes // 2, _MOST_MEMORY),
        processes=processes or most,
        disk_bytes=disk_mb * MB if disk_mb else _DISK,
    )


def sealed(limits: CommandLimits) -> CommandLimits:
    """Return the limits of a command in a sealed clone, which are narrower than the host's."""
    return CommandLimits(
        memory_bytes=min(limits.memory_bytes, _SEALED_MEMORY),
        processes=min(limits.processes, _SEALED_PROCESSES),
        disk_bytes=min(limits.disk_bytes, _SEALED_DISK),
    )


def why_ended(exceeded: str, limits: CommandLimits, *, seconds: float, output_bytes: int) -> str:
    """Return which limit ended a command, its value, and what to do."""
    sentences = {
        "time": f"timed out after {seconds:.0f} s, all its processes were ended: run less at once, "
        "or allow more time where the tool takes it",
        "output": f"ended because it printed more than {amount(output_bytes)}: write the output to "
        "a file of /tmp, or print less",
        "memory": f"ended because it used more than {amount(limits.memory_bytes)} of memory, files "
        "in /dev/shm counted: run less at once, fewer workers or tests",
        "system memory": "ended by the system because its host ran out of memory: run less at "
        "once, fewer workers or tests",
        "processes": f"ended because it had {limits.processes} processes and threads at once, "
        "which is the limit: start fewer, such as fewer workers",
        "disk": f"ended because the files of the worktree, /tmp and HOME grew beyond "
        f"{amount(limits.disk_bytes)}, or it filled half of what was free; {UNDONE}: write less",
    }
    setting = SETTINGS.get(exceeded)
    more = f" (a person can allow more: {setting})" if setting else ""
    return f"{sentences[exceeded]}{more}"


def amount(number: int) -> str:
    """Return a number of bytes for people."""
    return f"{number / 1_000_000_000:.1f} GB" if number >= 1_000 * MB else f"{number // MB} MB"
