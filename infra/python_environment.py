"""The virtual environment that a repository has at its top, or that poetry keeps for it."""

import glob
import os
import re
from collections.abc import Mapping
from pathlib import Path

from domain.dependencies import PYTHON_ENVIRONMENTS
from domain.project.poetry import poetry_active, poetry_name, poetry_virtualenvs
from infra.regular_file import regular_content

_HOME = re.compile(rb"^home[ \t]*=[ \t]*(.+?)[ \t\r]*$", re.MULTILINE)


def own_environment(checkout: Path) -> Path | None:
    """Return the virtual environment of a checkout, None when there is none that can be used."""
    found = (checkout / name for name in PYTHON_ENVIRONMENTS)
    return next((folder for folder in found if is_environment(folder)), None)


def is_environment(folder: Path) -> bool:
    """Return whether a folder is a virtual environment whose interpreter is there.

    Where it says that the interpreter came from, there must be one: commands are shown that place.
    """
    if not os.access(folder / "bin" / "python", os.X_OK):
        return False
    home = _HOME.search(regular_content(folder / "pyvenv.cfg") or b"")
    origin = Path(os.fsdecode(home[1])) if home else Path()
    return origin.is_absolute() and any(
        os.access(origin / name, os.X_OK) for name in ("python", "python3", "pypy3")
    )


def poetry_environment(
    checkout: Path, pyproject: str, *, home: Path, environ: Mapping[str, str]
) -> Path | None:
    """Return the virtual environment that poetry keeps elsewhere for a checkout, None for none.

    Poetry names it by the project and a digest of the checkout's path, so that it is no other
    project's. Where there are several, the one that poetry has active counts, else the newest.
    """
    name = poetry_name(pyproject, os.path.normcase(os.path.realpath(checkout)))
    folder = _poetry_folder(home, environ)
    if not name or not folder.is_absolute():
        return None
    found = [
        each for each in sorted(folder.glob(f"{glob.escape(name)}-py*")) if is_environment(each)
    ]
    said = (regular_content(folder / "envs.toml") or b"").decode("utf-8", "replace")
    active = poetry_active(said, name)
    by_age = sorted(
        found, key=lambda each: (each.name == f"{name}-py{active}", each.stat().st_mtime)
    )
    return by_age[-1] if by_age else None


def _poetry_folder(home: Path, environ: Mapping[str, str]) -> Path:
    """Return where poetry keeps environments, by its variables or the person's configuration.

    What a repository configures (`poetry.toml`) does not count: it would choose the folder.
    """
    if named := environ.get("POETRY_VIRTUALENVS_PATH"):
        return Path(named)
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config") / "pypoetry" / "config.toml"
    said = (regular_content(config) or b"").decode("utf-8", "replace")
    cache = environ.get("POETRY_CACHE_DIR") or Path(
        environ.get("XDG_CACHE_HOME") or home / ".cache", "pypoetry"
    )
    return poetry_virtualenvs(said, Path(cache))
