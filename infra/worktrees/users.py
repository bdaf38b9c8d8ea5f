"""Which user of the host the commands of a worktree run as, when the worker is root.

The kernel counts processes by user, so no two worktrees of a host share one: a command that uses
up its processes takes none from another. The numbers are none that hosts give to people, services
or containers, and small enough for archive formats.
"""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Final

FOLDER: Final = ".users"
"""The folder, beside the pools, that holds a link a given user: its number leads to `pool/name`."""

_FREE: Final = range(65_600, 99_968)
_FEW: Final = range(60_000, 65_520)  # a container may have no more than 65,536 users
_BLOCK: Final = 64


def first_user(home: Path) -> int | None:
    """Return where the users of a home begin: seldom where another home's do; None = not root."""
    if os.geteuid() != 0:
        return None
    numbers = _FREE if _mapped(_FREE[-1]) else _FEW
    digest = hashlib.sha256(os.fsencode(home)).digest()
    return numbers[int.from_bytes(digest[:4]) % (len(numbers) // _BLOCK) * _BLOCK]


def user_of(pools: Path, worktree: str, first: int) -> int:
    """Return the user of a worktree, named `pool/name`; given once, it stays.

    Safe for many processes at once: a number is taken by making its link.
    """
    folder = pools / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    taken = {int(entry.name): os.readlink(entry) for entry in folder.iterdir()}  # noqa: PTH115
    given = sorted(number for number, whose in taken.items() if whose == worktree)
    if given:
        return given[0]
    for number in _from(first):
        if number not in taken:
            with contextlib.suppress(FileExistsError):
                (folder / str(number)).symlink_to(worktree)
                return number
    return first  # thousands of worktrees: one of them is shared


def _from(first: int) -> list[int]:
    """Return the numbers that may be given, in order; the first itself is the canary's."""
    numbers = _FEW if first in _FEW else _FREE
    return [*range(first + 1, numbers.stop), *range(numbers.start, first)]


def _mapped(number: int) -> bool:
    """Return whether a user exists in this process's user namespace."""
    try:
        rows = Path("/proc/self/uid_map").read_text("ascii").splitlines()
    except OSError:
        return True
    spans = [(int(row.split()[0]), int(row.split()[2])) for row in rows]
    return any(start <= number < start + count for start, count in spans)
