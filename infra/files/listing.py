"""What lies in a folder, listed for the model."""

import os
import posixpath
from collections import deque
from collections.abc import Iterator

from domain.approvals.paths import path_problem
from infra.files.confined_files import TEMPORARY_PREFIX
from infra.files.confined_root import ConfinedRoot, PathRefused, check_path, escaped, printable

_WALK_LIMIT = 50_000
_CLOSED_FOLDERS = frozenset({"node_modules", "__pycache__", ".venv"})


def list_directory(root: ConfinedRoot, path: str, *, depth: int = 2, limit: int = 200) -> list[str]:
    """Return what lies in a folder, as paths relative to the root, sorted.

    Folders end in "/", a symbolic link shows its target, unprintable characters are escaped.
    What is nearer to `path` comes first when `limit` entries do not suffice; then a sentence
    follows as one more entry. Folders of dependencies are named, not entered.

    Raises:
        PathRefused: not a path for tools, no folder, or behind a symbolic link.
    """
    check_path(path)
    if not root.is_folder(path):
        raise PathRefused(f"'{printable(path)}' is not a folder.")
    start = "" if posixpath.normpath(path) == "." else posixpath.normpath(path)
    shown: list[str] = []
    more = 0
    for entry in _walk(root, start, depth):
        if len(shown) < limit:
            shown.append(entry)
        else:
            more += 1
    return [*sorted(shown), *([f"[{more} more entries are not shown]"] if more else [])]


def _walk(root: ConfinedRoot, start: str, depth: int) -> Iterator[str]:
    """Yield the entries level by level, at most `_WALK_LIMIT`."""
    waiting = deque([(start, 1)])
    left = _WALK_LIMIT
    while waiting:
        folder, level = waiting.popleft()
        for name, is_folder, target in _entries(root, folder):
            inner = posixpath.join(folder, name)
            yield printable(inner) + ("/" if is_folder else "") + target
            left -= 1
            if not left:
                return
            if is_folder and level < depth and name not in _CLOSED_FOLDERS:
                waiting.append((inner, level + 1))


def _entries(root: ConfinedRoot, folder: str) -> list[tuple[str, bool, str]]:
    """Return name, whether a folder, and " -> target" of each entry, sorted; none if it is gone."""
    try:
        fd = root.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY)
    except PathRefused:
        return []
    if fd is None:
        return []
    try:
        with os.scandir(fd) as entries:
            found = [e for e in entries if _listed(e.name)]
            return sorted((e.name, e.is_dir(follow_symlinks=False), _target(fd, e)) for e in found)
    finally:
        os.close(fd)


def _listed(name: str) -> bool:
    return path_problem(escaped(name)) is None and not name.startswith(TEMPORARY_PREFIX)


def _target(folder: int, entry: os.DirEntry[str]) -> str:
    if not entry.is_symlink():
        return ""
    try:
        target = os.readlink(entry.name, dir_fd=folder)
    except OSError:
        return ""
    return " -> a place outside" if target.startswith("/") else f" -> {printable(target)}"
