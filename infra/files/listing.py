"""What lies in a folder, listed for the model."""

import itertools
import os
import posixpath
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass

from domain.approvals.paths import path_problem
from domain.memory.repo_map import folder_line
from infra.files.confined_files import TEMPORARY_PREFIX
from infra.files.confined_root import ConfinedRoot, PathRefused, check_path, escaped, printable

_WALK_LIMIT = 50_000
_CLOSED_FOLDERS = frozenset({"node_modules", "__pycache__", ".venv"})


def list_directory(root: ConfinedRoot, path: str, *, depth: int = 2, limit: int = 200) -> list[str]:
    """Return what lies in a folder, as paths relative to the root, sorted.

    Folders end in "/", a symbolic link shows its target, unprintable characters are escaped. Where
    `limit` entries do not suffice, only what lies directly in the folder is listed, its folders
    with the counts of their files; what does not fit even then is counted in a sentence. Folders of
    dependencies are named, not entered.

    Raises:
        PathRefused: not a path for tools, no folder, or behind a symbolic link.
    """
    check_path(path)
    if not root.is_folder(path):
        raise PathRefused(f"'{printable(path)}' is not a folder.")
    start = "" if posixpath.normpath(path) == "." else posixpath.normpath(path)
    found = list(itertools.islice(_walk(root, start, depth), limit + 1))
    if len(found) <= limit:
        return sorted(entry.shown for entry in found)
    return _counted(root, start, limit)


@dataclass(frozen=True)
class _Entry:
    """One entry: its path as it is shown, the folder of the first level that it lies in, its kind.

    Attributes:
        top: the name of that folder, or its own name on the first level.
    """

    shown: str
    top: str
    level: int
    is_folder: bool


def _counted(root: ConfinedRoot, start: str, limit: int) -> list[str]:
    """Return the entries of one folder, the folders first with the counts of what lies below."""
    files: Counter[str] = Counter()
    first: list[_Entry] = []
    walked = 0
    for entry in _walk(root, start, _WALK_LIMIT):
        walked += 1
        files[entry.top] += entry.level > 1 and not entry.is_folder
        if entry.level == 1:
            first.append(entry)
    more = "at least " if walked == _WALK_LIMIT else ""
    first.sort(key=lambda entry: (not entry.is_folder, entry.shown))
    shown = [
        folder_line(entry.shown[:-1], files[entry.top], more) if _is_open(entry) else entry.shown
        for entry in first[:limit]
    ]
    rest = len(first) - len(shown)
    return [*sorted(shown), *([f"[{rest:,} more entries are not shown]"] if rest else [])]


def _is_open(entry: _Entry) -> bool:
    return entry.is_folder and entry.top not in _CLOSED_FOLDERS


def _walk(root: ConfinedRoot, start: str, depth: int) -> Iterator[_Entry]:
    """Yield the entries level by level, at most `_WALK_LIMIT`."""
    waiting = deque([(start, "", 1)])
    left = _WALK_LIMIT
    while waiting:
        folder, top, level = waiting.popleft()
        for name, is_folder, target in _entries(root, folder):
            inner = posixpath.join(folder, name)
            shown = printable(inner) + ("/" if is_folder else "") + target
            yield _Entry(shown, top or name, level, is_folder)
            left -= 1
            if not left:
                return
            if is_folder and level < depth and name not in _CLOSED_FOLDERS:
                waiting.append((inner, top or name, level + 1))


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
