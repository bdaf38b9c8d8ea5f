"""Whether files can be made in the user's repository, found out without touching it."""

import errno
import os
from pathlib import Path

_WRITTEN = ("objects", "refs/heads", "logs/refs/heads", ".")
"""Where a push writes, below the git directory: objects, the branch, its log, locks."""
_NO_TEMPORARY_FILES = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL})


def why_not_writable(git_dir: Path) -> str:
    """Return why nothing can be written into a repository and what helps, "" when it can be."""
    for name in _WRITTEN:
        folder = git_dir / name
        while not folder.exists() and folder != git_dir:
            folder = folder.parent
        if problem := _problem(folder):
            return problem
    return ""


def _problem(folder: Path) -> str:
    try:
        _write_unseen(folder)
    except OSError as error:
        if error.errno == errno.EROFS:
            return (
                f"{folder} lies on a read-only file system: mount it writable, or name a clone "
                "elsewhere with --repo"
            )
        return (
            f"{folder} cannot be written ({error.strerror}): let the worker's user write there, "
            "or name a clone of your own with --repo"
        )
    return ""


def _write_unseen(folder: Path) -> None:
    """Make a file without a name, which leaves no trace in its folder.

    Raises:
        OSError: files cannot be made there.
    """
    try:
        os.close(os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        if error.errno not in _NO_TEMPORARY_FILES:
            raise
        if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder)) from None
