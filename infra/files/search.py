"""Search in files of one folder, with the lines, encodings and limits of views and edits.

What is plain (UTF-8, lines that end in LF or CRLF) is searched as it lies there. Other text is
decoded as a view decodes it and searched in copies, so that a line has the same number everywhere.
"""

import asyncio
import os
import posixpath
import stat
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from domain.editing.document import decode
from infra.files.confined_files import ConfinedFiles
from infra.files.confined_root import ConfinedRoot, PathRefused
from infra.files.ripgrep import MatchingLine, Ripgrep

_FOUND_BYTES = 1_000_000
_COPIES_BYTES = 64_000_000
_LONE_CR = b"\r"


@dataclass(frozen=True)
class SearchResult:
    """What a search found.

    Attributes:
        lines: by file in the order given, then by number.
        cut: there was more.
        searched: how many files were.
        not_searched: names by reason.
        problems: what the search engine says of files that it gave up.
    """

    lines: tuple[MatchingLine, ...]
    cut: bool
    searched: int
    not_searched: dict[str, tuple[str, ...]]
    problems: str = ""


async def search(root: Path, names: Sequence[str], ripgrep: Ripgrep) -> SearchResult:
    """Search regular files beneath a folder, by their names in it; links are not followed.

    Raises:
        OSError: files cannot be read.
    """
    found = await asyncio.to_thread(_regular, root, names)
    odd = await ripgrep.special(root, found.names)
    forms = await asyncio.to_thread(_forms, root, [name for name in found.names if name in odd])
    apart = set(forms.texts).union(*forms.left_out.values())
    plain = [name for name in found.names if name not in apart]
    matches = await ripgrep.lines(root, plain, max_bytes=_FOUND_BYTES)
    decoded = await _in_copies(forms.texts, ripgrep)
    place = {name: number for number, name in enumerate(found.names)}
    lines = sorted((*matches.lines, *decoded.lines), key=lambda each: place.get(each.path, 0))
    return SearchResult(
        lines=tuple(lines),
        cut=matches.cut or decoded.cut,
        searched=len(plain) + len(forms.texts),
        not_searched={**found.left_out, **forms.left_out},
        problems=matches.problems,
    )


def files_below(root: Path, path: str) -> list[str]:
    """Return every file below a folder that no git knows, or the file itself, sorted.

    Raises:
        PathRefused: not a path for tools, or behind a symbolic link.
    """
    with ConfinedRoot(root) as confined:
        if not confined.is_folder(path):
            return [path]
    found = []
    for folder, folders, files in os.walk(root / path):
        folders.sort()
        found += [os.path.relpath(posixpath.join(folder, name), root) for name in files]
    return sorted(found)


@dataclass(frozen=True)
class _Regular:
    names: list[str]
    left_out: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class _Forms:
    """Files that are not plain: their decoded text, or why they are not searched."""

    texts: dict[str, str]
    left_out: dict[str, tuple[str, ...]]


def _regular(root: Path, names: Iterable[str]) -> _Regular:
    """Keep what is a regular file reached through no link."""
    below: dict[str, list[str]] = defaultdict(list)
    for name in names:
        below[posixpath.dirname(name)].append(name)
    kept: set[str] = set()
    left_out: dict[str, list[str]] = defaultdict(list)
    with ConfinedRoot(root) as confined:
        for folder, inside in below.items():
            try:
                fd = confined.open(folder or ".", os.O_PATH | os.O_DIRECTORY)
            except PathRefused:
                left_out["behind a symbolic link"] += inside
                continue
            if fd is None:
                continue  # deleted since git has known it
            try:
                for name in inside:
                    reason = _not_regular(fd, posixpath.basename(name))
                    if reason is None:
                        kept.add(name)
                    elif reason:
                        left_out[reason].append(name)
            finally:
                os.close(fd)
    reasons = {reason: tuple(each) for reason, each in left_out.items()}
    return _Regular([name for name in names if name in kept], reasons)


def _not_regular(folder: int, name: str) -> str | None:
    """Return why a name is not searched: "" when there is nothing; None when it is a file."""
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except OSError:
        return ""
    if stat.S_ISREG(mode):
        return None
    if stat.S_ISDIR(mode):
        return "another repository"
    return "a symbolic link" if stat.S_ISLNK(mode) else "no regular file"


def _forms(root: Path, names: Sequence[str]) -> _Forms:
    """Look at files that may not be plain text."""
    texts: dict[str, str] = {}
    left_out: dict[str, list[str]] = defaultdict(list)
    room = _COPIES_BYTES
    with ConfinedFiles(root) as files:
        for name in names:
            try:
                state = files.read(name)
            except PathRefused:
                left_out["too large, or not open to tools"].append(name)
                continue
            if state is None or _is_plain(state.data):
                continue
            document = decode(state.data)
            room -= len(state.data)
            if document is None:
                left_out["binary"].append(name)
            elif room < 0:
                left_out["too much text in other encodings"].append(name)
            else:
                texts[name] = document.text
    return _Forms(texts, {reason: tuple(each) for reason, each in left_out.items()})


def _is_plain(data: bytes) -> bool:
    if b"\0" in data or data.count(_LONE_CR) != data.count(b"\r\n"):
        return False
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


@dataclass(frozen=True)
class _Decoded:
    lines: tuple[MatchingLine, ...]
    cut: bool


async def _in_copies(texts: dict[str, str], ripgrep: Ripgrep) -> _Decoded:
    if not texts:
        return _Decoded((), cut=False)
    names = list(texts)
    with tempfile.TemporaryDirectory(prefix="orchestcode-search-") as folder:
        await asyncio.to_thread(_write, Path(folder), texts.values())
        copies = [str(number) for number in range(len(names))]
        found = await ripgrep.lines(Path(folder), copies, max_bytes=_FOUND_BYTES)
    lines = (MatchingLine(names[int(each.path)], each.number, each.text) for each in found.lines)
    return _Decoded(tuple(lines), cut=found.cut)


def _write(folder: Path, texts: Iterable[str]) -> None:
    for number, text in enumerate(texts):
        (folder / str(number)).write_text(text, "utf-8", newline="")
