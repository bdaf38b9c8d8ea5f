"""A repository's own instructions for agents (AGENTS.md, CLAUDE.md): which files count, how far."""

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from domain.planning.write_patterns import covers
from domain.text import escaped

NAMES = ("AGENTS.override.md", "AGENTS.md", "CLAUDE.md", ".claude/CLAUDE.md")
"""Of each folder the first that is there and not empty counts."""
INSTRUCTIONS = (
    "Instructions of the repository for whoever changes it; the task and the request come first"
)
"""Their label where an agent is told them."""
OF_THE_PERSON = (
    "Instructions of the person for all repositories; those of the repository, the task and the "
    "request come first"
)
"""The label of what the person has written for every agent, of whatever repository."""
BUDGET_BYTES = 32_768
IMPORT_HOPS = 4

_WILD = frozenset("*?[")
_FENCE = re.compile(r"\s{0,3}(```+|~~~+)")
_COMMENT = re.compile(r"<!--.*?-->[ \t]*\n?", re.DOTALL)
_SPAN = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
_IMPORT = re.compile(r"(?:^|(?<=\s))@(?![@~/])([^\s`]+)")


@dataclass(frozen=True, slots=True)
class InstructionFile:
    """One file that counts.

    Attributes:
        path: in the repository.
        text: of its prose, whole.
        oid: its object id.
        why: it counts, for people.
    """

    path: str
    text: str
    oid: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class ToldFile:
    """One file as it is told.

    Attributes:
        text: what is told, the mark of a cut included.
        kept_bytes: how much of the file's prose that is.
        whole_bytes: of the whole prose.
    """

    file: InstructionFile
    text: str
    kept_bytes: int
    whole_bytes: int


def folders(scope: Sequence[str], paths: Sequence[str] = ()) -> list[str]:
    """Return the folders whose instructions hold for a scope, outer ones first.

    They are the folders from the root to every path of the scope, of a pattern to the part before
    its first wildcard; and below that those that hold instructions and a file that it covers.

    Args:
        scope: paths and patterns as a plan declares them.
        paths: every file there is.
    """
    found = {"", *(folder for pattern in scope for folder in _fixed(pattern))}
    holding = set(filter(None, map(_instructed, paths))) - found
    for path in paths if holding else ():
        inner = holding.intersection(_parents(path))
        if inner and covers(scope, path):
            found |= inner
            holding -= inner
    return sorted(found, key=lambda folder: (folder.count("/") + bool(folder), folder))


def _fixed(pattern: str) -> Iterator[str]:
    parts = pattern.strip("/").split("/")
    fixed = next((n for n, part in enumerate(parts) if _WILD & set(part)), len(parts))
    return ("/".join(parts[:depth]) for depth in range(1, fixed + 1))


def _instructed(path: str) -> str:
    """Return the folder whose instructions a file holds, "" for the root or another file."""
    ends = (f"/{name}" for name in sorted(NAMES, key=len, reverse=True))
    return next((path.removesuffix(end) for end in ends if path.endswith(end)), "")


def _parents(path: str) -> Iterator[str]:
    parts = path.split("/")
    return ("/".join(parts[:depth]) for depth in range(1, len(parts)))


def prose(text: str) -> str:
    """Return a file's text without its block comments; those in fenced code stay."""
    parts = (part if fenced else _COMMENT.sub("", part) for part, fenced in _parts(text))
    return "".join(parts).strip()


def imports(path: str, text: str) -> list[str]:
    """Return the paths that a file imports by `@path`, in order.

    They are relative to it; those in code, and those that leave the repository, do not count.
    """
    words = [
        word.rstrip(".,;:)")
        for part, fenced in _parts(text)
        if not fenced
        for word in _IMPORT.findall(_SPAN.sub("", part))
    ]
    folder = posixpath.dirname(path)
    paths = [posixpath.normpath(posixpath.join(folder, word)) for word in words]
    return [each for each in dict.fromkeys(paths) if each.split("/")[0] not in {"..", "."}]


def assembled(files: Sequence[InstructionFile]) -> str:
    """Return what an agent is told of files given outer ones first, "" for none.

    Where they are longer than the budget the outermost are cut, at a line, with a visible mark.
    """
    return "\n\n".join(f"{_head(each.file)}{each.text}" for each in fitted(files))


def fitted(files: Sequence[InstructionFile]) -> list[ToldFile]:
    """Return what is told of each file, in their order; the innermost is whole the longest."""
    room, told = BUDGET_BYTES, list[ToldFile]()
    for file in reversed(files):
        room -= len(_head(file).encode())
        text, kept = cut_to(file.text, room)
        whole = len(file.text.encode())
        room = room - whole if kept == whole else 0
        told.append(ToldFile(file, text, kept, whole))
    return told[::-1]


def _head(file: InstructionFile) -> str:
    return f"# {escaped(file.path)}\n\n"


def cut_to(text: str, room: int) -> tuple[str, int]:
    """Return a text cut at a line to so many bytes, with a mark, and how many of its own it has."""
    data = text.encode()
    if len(data) <= room:
        return text, len(data)
    kept = data[: max(room, 0)]
    kept = kept[: kept.rfind(b"\n") + 1]
    mark = f"[cut: {len(data) - len(kept):,} of {len(data):,} bytes are not shown]"
    return kept.decode("utf-8", "ignore") + mark, len(kept)


def _parts(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the text in parts, and of each whether it is fenced code."""
    part: list[str] = []
    fence = ""
    for line in text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if fence:
            part.append(line)
            if mark and mark[1].startswith(fence):
                yield "".join(part), True
                part, fence = [], ""
        elif mark:
            yield "".join(part), False
            part, fence = [line], mark[1]
        else:
            part.append(line)
    yield "".join(part), bool(fence)
