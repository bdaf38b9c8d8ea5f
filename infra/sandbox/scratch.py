"""An agent's /tmp on disk, made ready for one command while none runs.

Its content is the agent's: whatever stands in the way of a mount is removed, because a link there
would lead bubblewrap, which may be root, out of the sandbox.
"""

import shutil
import stat
from collections.abc import Iterable
from pathlib import Path, PurePath

_MODE = 0o700  # of its one user, since other users of the host can reach the folder


def make_ready(scratch: Path, points: Iterable[PurePath], *, files: Iterable[PurePath]) -> None:
    """Make real folders, and empty files, of the paths at which something will be mounted."""
    if stat.S_IMODE(scratch.stat().st_mode) != _MODE:
        scratch.chmod(_MODE)  # a command may have closed it
    for point in points:
        _folder(scratch, point)
    for file in files:
        place = _folder(scratch, file.parent) / file.name
        if not place.is_file() or place.is_symlink():
            _remove(place)
            place.touch()


def _folder(scratch: Path, point: PurePath) -> Path:
    """Return the folder at a path below the scratch, each part of it a folder and no link."""
    here = scratch
    for part in point.parts:
        here /= part
        if here.is_symlink() or not here.is_dir():
            _remove(here)
            here.mkdir(mode=0o755)
            here.chmod(0o755)  # under any umask
    return here


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)
