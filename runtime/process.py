"""What a process inherits from its caller and must not work by."""

import os
from collections.abc import MutableMapping
from typing import Final

UMASK: Final = 0o022
"""Of our processes: the users of worktrees must be able to read the store and what is theirs."""


def drop_git_variables(environ: MutableMapping[str, str]) -> None:
    """Drop the caller's GIT_* variables.

    They name another repository, index or configuration than the one that is meant, as git itself
    sets them for hooks. Those of the library GitPython stay.
    """
    for name in [name for name in environ if name.startswith("GIT_")]:
        if not name.startswith("GIT_PYTHON_"):
            del environ[name]


def take_umask() -> int:
    """Set our umask and return the caller's, for what is written into the caller's repository."""
    return os.umask(UMASK)
