"""Which folders under a hidden one hold the user's tools, and so must be shown again.

The sandbox covers home folders, where version managers keep their interpreters. From the PATH and
the virtual environment that the *operator* configured, this module names the narrowest folders
that make them work. It never follows a link out of a folder an agent can write, because such a
link would choose what the agent can read.
"""

import os
import pwd
from collections.abc import Iterator, Sequence
from pathlib import Path

_SYSTEM_FOLDERS = frozenset({"/bin", "/sbin", "/usr/bin", "/usr/sbin"})
_SHIMS = "shims"
_PROGRAM_FOLDERS = frozenset({"bin", "sbin"})
_INSTALLATION_MARKS = ("lib", "lib64", "libexec", "jre")
_MAXIMUM_LINKS = 40
_PREFIX_MARKS = ("lib/node_modules", "pkg/tool")  # node, go: found from bin by a relative path


def toolchain_binds(
    path: str, virtual_env: Path | None, hidden: Sequence[Path], *, untrusted: Sequence[Path] = ()
) -> tuple[Path, ...]:
    """Name the files and folders under `hidden` that the tools on `path` need.

    Args:
        path: the command's PATH.
        virtual_env: the environment put in VIRTUAL_ENV, None when there is none.
        hidden: folders covered inside the sandbox, absolute and resolved.
        untrusted: folders an agent writes; nothing in them is followed or bound.

    Returns:
        Paths to bind read-only onto themselves, sorted, none below another one; a hidden folder
        itself, or a home, is never among them.
    """
    environment = "" if virtual_env is None else f":{virtual_env / 'bin'}"
    trusted = _entries(path + environment, untrusted)
    wanted = {found for entry in trusted for found in _needs_of(entry, hidden)}
    refused = {*hidden, *_homes(hidden)}
    kept = {
        each
        for each in wanted
        if _under(each, hidden)
        and not any(home.is_relative_to(each) for home in refused)
        and not _under(each, untrusted)
    }
    return tuple(sorted(each for each in kept if not any(p in kept for p in each.parents)))


def installations(
    path: str, roots: Sequence[Path], *, untrusted: Sequence[Path] = ()
) -> tuple[Path, ...]:
    """Name the installations below `roots` that a PATH leads into, whatever they are.

    Homes are left to `toolchain_binds`: beside a tool of theirs lie keys and letters.
    """
    private = _homes(roots) | {Path("/root"), Path("/home")}
    found = (
        entry.parent
        for entry in _entries(path, untrusted)
        if entry.name in _PROGRAM_FOLDERS
        and any(exists(entry.parent / mark) for mark in _INSTALLATION_MARKS)
    )
    return tuple(
        folder
        for folder in dict.fromkeys(found)
        if _under(folder, roots)
        and folder not in roots
        and not _under(folder, tuple(private))
        and not any(each.is_relative_to(folder) for each in (*untrusted, *private))
    )


def toolchain_variables(path: str, *, untrusted: Sequence[Path] = ()) -> dict[str, str]:
    """Name the variables tools on `path` need because HOME is another one inside.

    rustup's proxies look for the toolchains below HOME unless a variable names them.
    """
    for entry in _entries(path, untrusted):
        if (toolchains := _rustup_home(entry)) is not None:
            return {"RUSTUP_HOME": str(toolchains)}
    return {}


def _entries(path: str, untrusted: Sequence[Path]) -> list[Path]:
    """List the absolute folders of a PATH that no agent writes and that exist."""
    entries = (Path(entry) for entry in path.split(":") if entry.startswith("/"))
    return [e for e in dict.fromkeys(entries) if not _under(e, untrusted) and exists(e)]


def _rustup_home(entry: Path) -> Path | None:
    """Find the toolchains beside a `.cargo/bin`, None for any other entry."""
    toolchains = entry.parent.parent / ".rustup"
    return toolchains if entry.parts[-2:] == (".cargo", "bin") and exists(toolchains) else None


def _needs_of(folder: Path, hidden: Sequence[Path]) -> Iterator[Path]:
    """Name what one PATH entry needs: its root, where its links lead, its base interpreter."""
    yield root_of(folder)
    yield root_of(folder.resolve())
    yield from _base_interpreter(folder.parent)
    if (toolchains := _rustup_home(folder)) is not None:
        yield toolchains
    if str(folder) not in _SYSTEM_FOLDERS:
        for link in _links_in(folder):
            yield from (_unit_of(step) for step in _steps(link) if _under(step, hidden))


def root_of(folder: Path) -> Path:
    """Return the installation of a bin folder, or the folder itself when it has none.

    A folder `…/shims` belongs to the version manager around it; `bin` belongs to its parent only
    when that is recognisably an installation, never merely because it is the parent: the parent
    of `~/.local/bin` holds key rings, the parent of `~/bin` is a home.
    """
    if folder.name == _SHIMS:
        return folder.parent
    return folder.parent if folder.name == "bin" and _is_prefix(folder.parent) else folder


def _is_prefix(folder: Path) -> bool:
    """Return whether a folder is an environment, or an installation of python, node or go."""
    if folder.name == ".local":
        return False
    if any(exists(folder / mark) for mark in ("pyvenv.cfg", *_PREFIX_MARKS)):
        return True
    libraries = _matching(folder / "lib", "python3*")
    has_python = bool(_matching(folder / "bin", "python3*"))
    return has_python and any(exists(each / "os.py") for each in libraries)


def _unit_of(path: Path) -> Path:
    """Return the installation a linked tool belongs to, or the bare file when it has none."""
    for folder in (path.parent, *path.parents):
        if folder.name == "bin" and _is_prefix(folder.parent):
            return folder.parent
        if folder.name == "node_modules" and folder.parent.name == "lib":
            return folder.parent.parent
    return path


def _base_interpreter(environment: Path) -> Iterator[Path]:
    """Name the installation behind a virtual environment, as its pyvenv.cfg states it."""
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
    """List the symbolic links that lead out of a folder; an unreadable folder has none."""
    try:
        with os.scandir(folder) as entries:
            links = [Path(entry.path) for entry in entries if entry.is_symlink()]
            return [link for link in links if "/" in os.fspath(link.readlink())]
    except OSError:
        return []


def _steps(link: Path) -> Iterator[Path]:
    """Follow a link name by name: every stop on the way must exist inside, not only the last."""
    here = link
    for _ in range(_MAXIMUM_LINKS):
        try:
            target = here.readlink()
        except OSError:
            break
        here = Path(os.path.normpath(here.parent / target))
        if exists(here):
            yield here
    if exists(link):
        yield link.resolve()


def _homes(hidden: Sequence[Path]) -> set[Path]:
    """Name every home folder: children of /home, and what the system lists."""
    listed = {Path(entry.pw_dir) for entry in pwd.getpwall()}
    return {home for home in listed.union(Path("/home").glob("*")) if _under(home, hidden)}


def _matching(folder: Path, pattern: str) -> list[Path]:
    """List what matches in a folder; one that this user may not enter holds nothing."""
    try:
        return list(folder.glob(pattern))
    except PermissionError:
        return []


def exists(path: Path) -> bool:
    """Return whether this user can see a path; one behind a closed folder counts as missing."""
    return os.path.exists(path)  # noqa: PTH110 - Path.exists raises for a closed folder


def _under(path: Path, folders: Sequence[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)
