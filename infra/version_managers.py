"""What version managers (pyenv, nvm, asdf, mise) have installed in a home; nothing is run."""

import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from domain.project.toolchains import Chosen, Installed, chosen
from domain.project.versions import Wanted, wanted_versions
from infra.regular_file import regular_content

_PROGRAMS: Final = {"python": "python3", "node": "node", "ruby": "ruby"}
_MOST_ALIASES: Final = 4


def toolchains(
    texts: Mapping[str, str],
    *,
    search_path: str,
    home: Path,
    environ: Mapping[str, str],
    without: Collection[str] = (),
) -> Chosen:
    """Return the installations to which version files lead.

    A version is a number, or an alias of nvm's; what it is made into is a folder that a version
    manager of the person's has, never a path that the repository chose.

    Args:
        texts: of the version files.
        search_path: the PATH of the request.
        home: the person's, in which version managers keep what they install.
        environ: names where version managers keep what they install, where that is not usual.
        without: tools that are chosen otherwise.
    """
    wanted = [each for each in wanted_versions(texts) if each.tool not in without]
    roots = _roots(home, environ)
    found = tuple(each for manager, root in roots for each in _installed(manager, root))
    nvm = next((root for manager, root in roots if manager == "nvm"), None)
    return chosen(
        tuple(_resolved(each, nvm) for each in wanted),
        found,
        on_path={tool: _program(name, search_path) for tool, name in _PROGRAMS.items()},
        managers=[manager for manager, _ in roots],
    )


def _roots(home: Path, environ: Mapping[str, str]) -> list[tuple[str, Path]]:
    """Return the version managers that are here, with their folders."""
    data = Path(environ.get("XDG_DATA_HOME") or home / ".local" / "share")
    places = (
        ("pyenv", Path(environ.get("PYENV_ROOT") or home / ".pyenv")),
        ("nvm", Path(environ.get("NVM_DIR") or home / ".nvm")),
        ("mise", Path(environ.get("MISE_DATA_DIR") or data / "mise")),
        ("asdf", Path(environ.get("ASDF_DATA_DIR") or home / ".asdf")),
    )
    return [(manager, root) for manager, root in places if root.is_absolute() and root.is_dir()]


def _installed(manager: str, root: Path) -> Iterator[Installed]:
    places = {
        "pyenv": (("python", "versions"),),
        "nvm": (("node", "versions/node"),),
        "mise": (
            ("python", "installs/python"),
            ("node", "installs/node"),
            ("ruby", "installs/ruby"),
        ),
        "asdf": (
            *(("python", "installs/python"), ("node", "installs/nodejs")),
            ("ruby", "installs/ruby"),
        ),
    }
    for tool, place in places[manager]:
        for folder in _folders(root / place):
            if os.access(folder / "bin" / _PROGRAMS[tool], os.X_OK):
                yield Installed(tool, folder.name.removeprefix("v"), manager, str(folder / "bin"))


def _folders(place: Path) -> list[Path]:
    """Return the folders in one, links apart: a link names another version, or an environment."""
    try:
        with os.scandir(place) as entries:
            names = sorted(each.name for each in entries if each.is_dir(follow_symlinks=False))
    except OSError:
        return []
    return [place / name for name in names]


def _resolved(wanted: Wanted, nvm: Path | None) -> Wanted:
    """Return a wanted version with an alias of nvm's, such as `lts/iron`, as its number."""
    version = wanted.version
    for _ in range(_MOST_ALIASES):
        if nvm is None or wanted.tool != "node" or not version.startswith("lts/"):
            break
        name = version.removeprefix("lts/")
        if "/" in name or name.startswith("."):
            break
        said = (regular_content(nvm / "alias" / "lts" / name) or b"").decode("utf-8", "replace")
        version = said.strip()[:40] or wanted.version
        if version == wanted.version:
            break
    return Wanted(wanted.tool, version, wanted.file)


def _program(name: str, search_path: str) -> str:
    """Return where a program of the PATH lies in truth; a shim of a version manager is none."""
    found = shutil.which(name, path=search_path)
    if found is None or Path(found).parent.name == "shims":
        return ""
    return str(Path(found).resolve())
