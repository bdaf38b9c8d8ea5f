"""
Which folders under a hidden one hold the person's tools, and so must be shown again.

The sandbox covers home folders; interpreters of version managers live exactly there. This module
looks at the PATH and the virtual environment the *operator* configured and names the narrowest
folders that make them work. It never follows a link out of a folder an agent can write, because
such a link would choose what the agent gets to read.
"""

import os
import pwd
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

_SYSTEM_FOLDERS = frozenset({"/bin", "/sbin", "/usr/bin", "/usr/sbin"})
_SHIMS = "shims"
_MAXIMUM_LINKS = 40
_PREFIX_MARKS = ("lib/node_modules", "pkg/tool")  # node, go: found from bin by a relative path


def toolchain_binds(
    path: str,
    virtual_env: Path | None,
    hidden: Sequence[Path],
    *,
    untrusted: Sequence[Path] = (),
) -> tuple[Path, ...]:
    """
    Name the files and folders under `hidden` that the tools on `path` need.

    Args:
        path: the PATH of the command, entries separated by colons.
        virtual_env: the environment put in VIRTUAL_ENV, None when there is none.
        hidden: folders covered inside the sandbox, absolute and resolved.
        untrusted: folders an agent writes; nothing in them is followed or bound.

    Returns:
        Absolute paths to bind read-only onto themselves, none below another one, sorted.
        A hidden folder itself, or a person's home, is never among them.

    """
    entries = [Path(entry) for entry in path.split(":") if entry.startswith("/")]
    if virtual_env is not None:
        entries.append(virtual_env / "bin")
    trusted = [entry for entry in entries if not _under(entry, untrusted) and entry.is_dir()]
    wanted = {found for entry in trusted for found in _needs_of(entry)}
    refused = {*hidden, *_homes(hidden)}
    kept = {
        each
        for each in wanted
        if _under(each, hidden)
        and not any(each == home or each in home.parents for home in refused)
        and not _under(each, untrusted)
    }
    return tuple(sorted(each for each in kept if not any(p in kept for p in each.parents)))


def _needs_of(folder: Path) -> Iterator[Path]:
    """
    Name what one PATH entry needs: its root, where its links lead, its base interpreter.
    """
    yield root_of(folder)
    yield root_of(folder.resolve())
    yield from _base_interpreter(folder.parent)
    if str(folder) not in _SYSTEM_FOLDERS:
        for link in _links_in(folder):
            for step in _steps(link):
                yield _unit_of(step)


def root_of(folder: Path) -> Path:
    """
    Return the installation a bin folder belongs to, or the folder itself when it stands alone.

    A folder `…/shims` belongs to the version manager around it; `bin` belongs to its parent only
    when that is recognisably an installation, never merely because it is the parent: the parent
    of `~/.local/bin` holds key rings, the parent of `~/bin` is a home.
    """
    if folder.name == _SHIMS:
        return folder.parent
    return folder.parent if folder.name == "bin" and _is_prefix(folder.parent) else folder


def _is_prefix(folder: Path) -> bool:
    """
    Tell an environment, or an installation of python, node or go, from any other folder.
    """
    if folder.name == ".local":
        return False
    if (folder / "pyvenv.cfg").is_file() or any((folder / m).is_dir() for m in _PREFIX_MARKS):
        return True
    has_python = any((folder / "bin").glob("python3*"))
    return has_python and any(
        (each / "os.py").is_file() for each in (folder / "lib").glob("python3*")
    )


def _unit_of(path: Path) -> Path:
    """
    Return the installation a linked tool belongs to, or the bare file when it has none.
    """
    for folder in (path.parent, *path.parents):
        if folder.name == "bin" and _is_prefix(folder.parent):
            return folder.parent
        if folder.name == "node_modules" and folder.parent.name == "lib":
            return folder.parent.parent
    return path


def _base_interpreter(environment: Path) -> Iterator[Path]:
    """
    Name the installation behind a virtual environment, as its pyvenv.cfg states it.
    """
    try:
        lines = (environment / "pyvenv.cfg").read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    for key, _, value in (line.partition("=") for line in lines):
        home = Path(value.strip())
        if key.strip() == "home" and home.is_absolute():
            yield root_of(home)
            yield root_of(home.resolve())


def _links_in(folder: Path) -> list[Path]:
    """
    List the symbolic links directly in a folder; an unreadable folder has none.
    """
    try:
        with os.scandir(folder) as entries:
            return [Path(entry.path) for entry in entries if entry.is_symlink()]
    except OSError:
        return []


def _steps(link: Path) -> Iterator[Path]:
    """
    Follow a link name by name: every stop on the way must exist inside, not only the last.
    """
    here = link
    for _ in range(_MAXIMUM_LINKS):
        try:
            target = here.readlink()
        except OSError:
            break
        here = Path(os.path.normpath(here.parent / target))
        if here.exists():
            yield here
    if link.exists():
        yield link.resolve()


def _homes(hidden: Iterable[Path]) -> set[Path]:
    """
    Name the folders that are somebody's home: children of /home, and what the system lists.
    """
    listed = {Path(entry.pw_dir) for entry in pwd.getpwall()}
    children = {Path("/home", name) for name in _names_in(Path("/home"))}
    return {home for home in listed | children if _under(home, tuple(hidden))}


def _names_in(folder: Path) -> list[str]:
    """
    List the names in a folder, none when it cannot be read.
    """
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _under(path: Path, folders: Sequence[Path]) -> bool:
    """
    Tell whether a path is one of the folders or lies below one.
    """
    return any(path == folder or folder in path.parents for folder in folders)
