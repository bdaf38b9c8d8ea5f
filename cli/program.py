"""How the program was called, for commands that a person may paste anywhere."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from domain.text import shell_word

INSTALLED = "orchestcode"
"""The name of the launcher that `make install` puts on the PATH."""
_FOUND_BY = ("ORCHESTCODE_HOME", "TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE")
"""Variables by which a command finds the same service; another shell need not have them."""


def called_as(program: str, interpreter: str, environ: Mapping[str, str]) -> str:
    """Return the beginning of every command that is shown: it works in any folder and shell.

    Args:
        program: as it was called, the first word of the command line.
        interpreter: the path of the Python that runs it.
        environ: what is set by which the service is found is repeated.
    """
    script = Path(program)
    if script.suffix == ".py":
        words = [interpreter, str(script.absolute())]
    else:
        words = [script.name if _is_on_path(script, environ) else str(script.absolute())]
    found_by = [f"{name}={shell_word(environ[name])}" for name in _FOUND_BY if environ.get(name)]
    return " ".join([*found_by, *map(shell_word, words)])


def name_of(program: str) -> str:
    """Return the name by which a person called the program, such as `starter.py`."""
    return Path(program).name


def _is_on_path(script: Path, environ: Mapping[str, str]) -> bool:
    """Whether a shell that is given the script's name runs this script, and not another."""
    found = shutil.which(script.name, path=environ.get("PATH", os.defpath))
    return found is not None and Path(found).resolve() == script.resolve()
