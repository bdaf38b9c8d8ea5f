"""Which installation of a language a repository's version files lead to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from domain.project.versions import Wanted, newest, satisfies

_INSTALL: Final = MappingProxyType(
    {
        "pyenv": "pyenv install {}",
        "nvm": "nvm install {}",
        "asdf": "asdf install {tool} {}",
        "mise": "mise install {tool}@{}",
    }
)
_MANAGERS: Final = MappingProxyType(
    {"python": ("pyenv", "mise", "asdf"), "node": ("nvm", "mise", "asdf")}
)
_LED_TO: Final = ("python", "node", "ruby")
"""Go and rust fetch and choose their versions by themselves."""


@dataclass(frozen=True)
class Installed:
    """One version of a language that a version manager has installed.

    Attributes:
        folder: where its programs lie.
    """

    tool: str
    version: str
    manager: str
    folder: str


@dataclass(frozen=True)
class Chosen:
    """What the version files of a repository come to.

    Attributes:
        folders: go before the PATH.
        notes: what a person should know, a sentence each.
    """

    folders: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def chosen(
    wanted: Sequence[Wanted],
    installed: Sequence[Installed],
    *,
    on_path: Mapping[str, str],
    managers: Sequence[str],
) -> Chosen:
    """Return the installations that fit, and a sentence for each wanted version that is not there.

    Args:
        wanted: by the version files.
        installed: by version managers, the first of a version counts.
        on_path: where the program of a tool on the PATH lies in truth, such as
            `/opt/node-v20.1.0/bin/node`; "" for none.
        managers: the version managers that are here.
    """
    folders, notes = list[str](), list[str]()
    for each in wanted:
        if each.tool not in _LED_TO:
            continue
        found = _best(each, installed)
        if found:
            folders.append(found.folder)
            notes.append(
                f"Commands use {each.tool} {found.version} of {found.manager}, "
                f"as {each.file} asks for {each.version}."
            )
        elif not _names(on_path.get(each.tool, ""), each):
            notes.append(_not_there(each, on_path.get(each.tool, ""), managers))
    return Chosen(tuple(folders), tuple(notes))


def _best(wanted: Wanted, installed: Sequence[Installed]) -> Installed | None:
    """Return the newest installation that fits; of one version, the first."""
    fitting = [each for each in reversed(installed) if each.tool == wanted.tool]
    by_version = {each.version: each for each in fitting}
    version = newest({number: number for number in by_version}, wanted.version)
    return by_version.get(version)


def _names(program: str, wanted: Wanted) -> bool:
    """Return whether the path of a program says that it is of the wanted version."""
    parts = program.replace("-", "/").replace(wanted.tool, "").split("/")
    return any(satisfies(part, wanted.version) for part in parts)


def _not_there(wanted: Wanted, program: str, managers: Sequence[str]) -> str:
    manager = next((m for m in _MANAGERS.get(wanted.tool, ()) if m in managers), "")
    remedy = _INSTALL[manager].format(wanted.version, tool=wanted.tool) if manager else ""
    used = f"commands use {program}" if program else f"there is no {wanted.tool} on the PATH"
    how = f"install it with `{remedy}`" if remedy else "put it on your PATH"
    return (
        f"{wanted.file} asks for {wanted.tool} {wanted.version}, which no version manager has "
        f"here; {used}: {how}, if that is another version."
    )


def conda_note(named: str, active: str) -> str:
    """Return what a person should know of conda's environments, "" for nothing.

    Args:
        named: the environment that the repository's environment.yml is for, "" for none.
        active: that of the python on the PATH, "" where it is of none.
    """
    if not named or named == active:
        return f"Commands use the active conda environment {active}." if active else ""
    other = f", while {active} is" if active else ""
    return (
        f"environment.yml is for the conda environment {named}, which is not active here{other}: "
        f"run `conda activate {named}` and then start the request, if commands need it."
    )
