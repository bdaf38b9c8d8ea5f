"""Commands of package managers that change lock files, as an agent may ask for them.

Tuned freely: what comes of it is recorded with the call.
"""

import shlex
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

from domain.setup import INSTALLERS, installers
from domain.text import listing, one_line, shell_word

_NODE: Final = ("add", "i", "install", "remove", "rm", "un", "uninstall", "up", "update", "dedupe")
_PYTHON: Final = ("add", "install", "lock", "remove", "sync", "uninstall", "update", "upgrade")
_UPDATES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "npm": _NODE,
        "pnpm": _NODE,
        "yarn": (*_NODE, "upgrade"),
        "bun": _NODE,
        "uv": _PYTHON,
        "poetry": _PYTHON,
        "pdm": _PYTHON,
        "pipenv": _PYTHON,
        "composer": ("remove", "require", "update"),
        "bundle": ("add", "lock", "remove", "update"),
        "mix": ("deps.get", "deps.unlock", "deps.update"),
        "go": ("get", "mod download", "mod tidy"),
        "cargo": ("add", "fetch", "generate-lockfile", "remove", "update"),
    }
)
"""By program, what it may be told: nothing else of it only changes what is installed."""
_OPERATORS: Final = frozenset(";&|()<>\n")
_BESIDE_LOCKS: Final = frozenset(("go.work", "go.work.sum", "pnpm-workspace.yaml"))


def update_problem(line: str) -> str:
    """Return why a command cannot be asked for, "" when it is one of a package manager."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|()<>\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    try:
        words = list(lexer)
    except ValueError as error:
        return f"it is not understood ({one_line(str(error))})"
    if any(sign in line for sign in "$`") or any(set(word) <= _OPERATORS for word in words):
        return "it must be one plain command: no variable, no redirection, no second command"
    known = _UPDATES.get(words[0]) if words else None
    if known is None:
        return f"it must begin with {listing(tuple(_UPDATES), most=len(_UPDATES))}"
    said = {" ".join(words[1:count]) for count in (2, 3)}
    if said.isdisjoint(known):
        return f"{words[0]} may be told {listing(known, most=len(known))}, right after its name"
    return ""


def in_folder(command: str, folder: str) -> str:
    """Return a command as it runs in a folder of the repository, "" for the top."""
    return f"(cd {shell_word(folder)} && {command})" if folder else command


def relocks(files: Collection[str], changed: Collection[str]) -> tuple[str, ...]:
    """Return the commands that bring lock files in line with what was changed.

    Args:
        files: of the tree.
        changed: those of them that were changed; who changed a lock file means it as it is.
    """
    found = list[str]()
    for each in installers(files):
        below = f"{each.folder}/" if each.folder else ""
        wanted = any(
            path.startswith(below) and path.rpartition("/")[2] == each.installer.manifest
            for path in changed
        )
        if wanted and each.installer.relock and each.lock not in changed:
            found.append(in_folder(each.installer.relock, each.folder))
    return tuple(found)


def is_stated(path: str) -> bool:
    """Return whether a package manager writes a file to say what is installed."""
    name = path.rpartition("/")[2]
    return name in _BESIDE_LOCKS or any(name in {e.lock, e.manifest} for e in INSTALLERS)
