"""The list of a repository's files as an agent is shown it: whole, or folders with their counts."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field

from domain.text import escaped


@dataclass
class _Folder:
    """A folder, by name from the root; `count` is of the files below it, at any depth."""

    path: str
    depth: int
    count: int = 0
    folders: dict[str, "_Folder"] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        return folder_line(self.path, self.count)

    @property
    def lines(self) -> list[str]:
        return [*(folder.line for folder in self.folders.values()), *self.files]


def folder_line(path: str, count: int, about: str = "") -> str:
    """Return the line that stands for a folder that is not opened; `about` precedes the count."""
    return f"{path}/ ({about}{count:,} file{'s' * (count != 1)})"


def repository_map(paths: Sequence[str], limit_bytes: int) -> str:
    """Return all paths as sorted lines; where they do not fit, folders with the counts of files.

    Folders are opened level by level, small ones first, while the lines fit. What lies directly in
    the root comes last, and is counted where even that does not fit.
    """
    names = [escaped(path) for path in paths]
    if sum(map(_size, names)) <= limit_bytes:
        return "\n".join(sorted(names))
    root = _tree(names)
    room = limit_bytes - sum(_size(folder.line) for folder in root.folders.values())
    files, rest = _fitting(root.files, room)
    room -= sum(map(_size, files))
    shown = {folder.line: [folder.line] for folder in root.folders.values()}
    waiting = [
        (folder.depth, folder.count, folder.path, folder) for folder in root.folders.values()
    ]
    heapq.heapify(waiting)
    while waiting:
        *_, folder = heapq.heappop(waiting)
        more = sum(map(_size, folder.lines)) - _size(folder.line)
        if more > room:
            continue
        room -= more
        shown[folder.line] = folder.files
        for inner in folder.folders.values():
            shown[inner.line] = [inner.line]
            heapq.heappush(waiting, (inner.depth, inner.count, inner.path, inner))
    folders, over = _fitting([line for lines in shown.values() for line in lines], limit_bytes)
    left = rest + over
    return "\n".join(
        [*sorted([*folders, *files]), *([f"… and {left:,} more here"] if left else [])]
    )


def _fitting(lines: Sequence[str], room: int) -> tuple[list[str], int]:
    """Return as many lines as there is room for, and how many are left out."""
    kept: list[str] = []
    for line in sorted(lines):
        room -= _size(line)
        if room < 0:
            break
        kept.append(line)
    return kept, len(lines) - len(kept)


def _tree(paths: Sequence[str]) -> _Folder:
    root = _Folder("", 0)
    for path in paths:
        *parts, _ = path.split("/")
        folder = root
        folder.count += 1
        for depth, part in enumerate(parts, start=1):
            inner = "/".join(parts[:depth])
            folder = folder.folders.setdefault(part, _Folder(inner, depth))
            folder.count += 1
        folder.files.append(path)
    return root


def _size(line: str) -> int:
    return len(line.encode()) + 1
