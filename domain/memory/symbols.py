"""What a repository defines, as an agent is shown it: the definitions that its task needs first.

A definition ranks by how many other files name it, and by the words of the task. The names that a
file uses are counted as they stand in its text, so that a use needs no analysis of types.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from types import MappingProxyType

from domain.text import escaped

_WORD = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{2,}")
_TICKED = re.compile(r"`([A-Za-z_$][A-Za-z0-9_$]{2,})(?:\(\))?`")
_INNER = re.compile(r"[A-Za-z0-9]_[A-Za-z0-9]|[a-z][A-Z]")
_MOST_NAMES = 12
_PARTS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SHORTEST_PART = 4
"""Shorter parts of names, as in `get_by_id`, stand in everything."""
_NAMED, _ALIKE, _PATH_NAMED = 20.0, 3.0, 4.0
"""A definition or a path that the task names, and a name that shares a part with its words."""
_PRIVATE, _TEST = 0.3, 0.1
_UNUSED = 0.05
_ASIDE = re.compile(r"(?:^|/)(?:tests?|spec|__tests__|vendor|third_party|node_modules)(?:/|$)")
_TEST_FILE = re.compile(r"(?:^|/)(?:test_[^/]*|[^/]*(?:_test|\.test|\.spec)\.[a-z]+|conftest\.py)$")


@dataclass(frozen=True)
class Definition:
    """A definition: its name, its line, counting from 1, and that line's text."""

    name: str
    line: int
    text: str


@dataclass(frozen=True)
class FileSymbols:
    """What a file defines, and how often it names what."""

    path: str
    definitions: tuple[Definition, ...] = ()
    names: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


class TaskWords:
    """The words of a task: what it names, and the parts of its words."""

    def __init__(self, text: str) -> None:
        self._text = text
        words = set(_WORD.findall(text))
        self._words = {word.lower() for word in words}
        self._parts = {part for word in words for part in _parts(word)}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of code in it, as far as they look like such; at most 12, in order."""
        ticked = _TICKED.findall(self._text)
        inner = (word for word in _WORD.findall(self._text) if _INNER.search(word))
        return tuple(dict.fromkeys((*ticked, *inner)))[:_MOST_NAMES]

    def weight(self, name: str) -> float:
        """Return by how much a name counts more for this task; at least 1."""
        if name.lower() in self._words:
            return _NAMED
        return _ALIKE if self._parts & _parts(name) else 1.0

    def path_weight(self, path: str) -> float:
        """Return by how much a path counts more for this task; at least 1."""
        file = path.rpartition("/")[2]
        named = file in self._text or file.partition(".")[0].lower() in self._words
        return _PATH_NAMED if named else 1.0


def reading_order(
    sizes: Mapping[str, int], words: TaskWords, holders: Collection[str] = ()
) -> list[str]:
    """Return the paths of files by how much they may tell; `sizes` are in bytes.

    First `holders` of the task's names and what the task names, then sources before tests and
    foreign code, shallow before deep, large before small.
    """

    def key(path: str) -> tuple[bool, float, bool, int, int, str]:
        named = words.path_weight(path)
        return (path not in holders, -named, is_aside(path), path.count("/"), -sizes[path], path)

    return sorted(sizes, key=key)


def is_aside(path: str) -> bool:
    """Return whether a file is a test or foreign code: it is shown after all others."""
    return bool(_ASIDE.search(path) or _TEST_FILE.search(path))


def symbol_map(files: Sequence[FileSymbols], words: TaskWords, limit_bytes: int) -> str:
    """Return the definitions that count most, by file and line, in at most so many bytes.

    The last line says how many are left out. "" when there are none, or not one fits.
    """
    rows = ranked(files, words)
    shown: dict[str, list[Definition]] = {}
    room, left = limit_bytes - _size(_left_out(len(rows), len(files))), 0
    for path, definition in rows:
        if len(definition.text) >= room:  # most of a large repository, once the map is full
            left += 1
            continue
        size = _size(_line(definition)) + (0 if path in shown else _size(escaped(path)))
        if size > room:
            left += 1
            continue
        room -= size
        shown.setdefault(path, []).append(definition)
    if not shown:
        return ""
    lines = [line for path in sorted(shown) for line in _file_lines(path, shown[path])]
    hidden = len({path for path, _ in rows} - set(shown))
    return "\n".join([*lines, *([_left_out(left, hidden)] if left else [])])


def ranked(files: Sequence[FileSymbols], words: TaskWords) -> list[tuple[str, Definition]]:
    """Return all definitions with their paths, what counts most first."""
    used = _uses(files)
    scored = [row for file in files for row in _scored(file, used, words)]
    scored.sort(key=lambda row: (-row[0], row[1], row[2].line))
    return [(path, definition) for _, path, definition in scored]


def _uses(files: Sequence[FileSymbols]) -> dict[str, float]:
    """Return how much each defined name is used by files that do not define it, per definition."""
    defined = Counter(name for file in files for name in {each.name for each in file.definitions})
    used = dict.fromkeys(defined, 0.0)
    for file in files:
        own = {each.name for each in file.definitions}
        for name in (used.keys() & file.names.keys()) - own:
            used[name] += sqrt(file.names[name])
    return {name: total / defined[name] for name, total in used.items()}


def _scored(
    file: FileSymbols, used: Mapping[str, float], words: TaskWords
) -> Iterator[tuple[float, str, Definition]]:
    named = words.path_weight(file.path)
    aside = _TEST if is_aside(file.path) else 1.0
    for each in file.definitions:
        score = (_UNUSED + used[each.name]) * words.weight(each.name) * named
        score *= _PRIVATE if each.name.startswith("_") else 1.0
        yield score * aside, file.path, each


def _file_lines(path: str, definitions: Iterable[Definition]) -> list[str]:
    by_line = sorted(definitions, key=lambda each: each.line)
    return [escaped(path), *map(_line, by_line)]


def _line(definition: Definition) -> str:
    return f"{definition.line:5} {escaped(definition.text)}"


def _left_out(definitions: int, files: int) -> str:
    where = f", {files:,} of them in files that are not shown" if files else ""
    return f"… and {definitions:,} definitions more{where}"


def _parts(name: str) -> set[str]:
    return {part.lower() for part in _PARTS.findall(name) if len(part) >= _SHORTEST_PART}


def _size(line: str) -> int:
    return len(line.encode()) + 1
