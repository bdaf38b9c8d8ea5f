"""Which interpreter commands of a repository run with, and what a person should know of it."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from domain.project.toolchains import conda_note
from infra.python_environment import poetry_environment
from infra.version_managers import toolchains

FILES: Final = (
    *(".python-version", ".nvmrc", ".node-version", ".ruby-version", ".tool-versions"),
    *("mise.toml", ".mise.toml", "pyproject.toml", "environment.yml", "environment.yaml"),
)
"""The files at the top of a base that say which interpreter is wanted."""

_CONDA_NAME: Final = re.compile(r"^name:[ \t]*[\"']?([\w.-]{1,60})[\"']?[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class Interpreters:
    """What goes before the PATH of commands.

    Attributes:
        environment: a virtual environment of the repository, None where it has none.
        folders: of programs of version managers.
        notes: what a person should know, a sentence each.
    """

    environment: Path | None = None
    folders: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def interpreters(
    checkout: Path,
    texts: Mapping[str, str],
    *,
    own: Path | None,
    active: str | None,
    search_path: str,
    environ: Mapping[str, str],
) -> Interpreters:
    """Return what the commands of a repository run with; nothing is run to find out.

    Args:
        checkout: the person's working folder.
        texts: of the base's `FILES`.
        own: the virtual environment at the top of the checkout.
        active: the virtual environment that was active where the request was made.
        search_path: the PATH there.
        environ: the worker's, which says where version managers keep what they install.
    """
    home = Path.home()
    pyproject = texts.get("pyproject.toml", "")
    found = own or poetry_environment(checkout, pyproject, home=home, environ=environ)
    conda = conda_environment(search_path)
    led = toolchains(
        texts,
        search_path=search_path,
        home=home,
        environ=environ,
        without=("python",) if found or active or conda else (),
    )
    file = texts.get("environment.yml", "") or texts.get("environment.yaml", "")
    named = _CONDA_NAME.search(file)
    note = (
        ""
        if found or active
        else conda_note(named[1] if named else "", conda.name if conda else "")
    )
    return Interpreters(found, led.folders, (*led.notes, *([note] if note else [])))


def conda_environment(search_path: str) -> Path | None:
    """Return the environment of conda's to which the python on a PATH belongs, None for none."""
    program = shutil.which("python", path=search_path) or shutil.which("python3", path=search_path)
    folder = Path(program).parent.parent if program else None
    return folder if folder and (folder / "conda-meta").is_dir() else None
