"""A look at what a person's checkout has installed; nothing of it is run or changed."""

import hashlib
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contracts.repository import Dependencies
from domain.dependencies import INCLUDE_FILE, Place, included
from domain.project.fetched import kept_as
from domain.text import one_line
from infra.python_environment import is_environment
from infra.regular_file import regular_content

_MOST_INCLUDED: Final = 100
"""Folders, and files."""
_MOST_FILE_BYTES: Final = 20_000_000
_VERSION = re.compile(r"^version(?:_info)?\s*=\s*([\w.]+)", re.MULTILINE)


def installed(
    checkout: Path, places: Sequence[Place], base: Mapping[str, str]
) -> tuple[Dependencies, ...]:
    """Return the places of a checkout at which something is installed.

    What a link leads to is nothing of the checkout's, but a virtual environment may lie elsewhere.

    Args:
        checkout: the working folder; a bare repository has nothing.
        places: where to look.
        base: the object ids of the files that say what is installed.
    """
    return tuple(filter(None, (_installed(checkout, place, base) for place in places)))


def fetched(home: Path, places: Sequence[Place]) -> tuple[Dependencies, ...]:
    """Return the caches of package managers that a home has."""
    there = (place for place in places if _has_content(home / place.path))
    return tuple(
        Dependencies(path=each.path, source=str((home / each.path).resolve()), in_home=True)
        for each in there
    )


def lacks_fetched(home: Path, lock: str, content: str) -> bool:
    """Return whether a home lacks a package that a lock file of go or cargo names."""
    return any(next(home.glob(pattern), None) is None for pattern in kept_as(lock, content))


@dataclass(frozen=True)
class Named:
    """What the include file of a checkout names.

    Attributes:
        folders: where to look.
        files: of the checkout, each a regular one.
        problems: sentences about what is wrong.
    """

    folders: tuple[Place, ...]
    files: tuple[Dependencies, ...]
    problems: tuple[str, ...]


def named_places(checkout: Path, files: Sequence[str]) -> Named:
    """Return what the checkout's include file names.

    A folder below which the base has one of `files` is not among it, nor is such a file.
    """
    text = (regular_content(checkout / INCLUDE_FILE) or b"").decode("utf-8", "replace")
    patterns, refused = included(text)
    folders, single = list[Place](), dict[str, Dependencies]()
    problems = [f"{one_line(line)!r} is not understood" for line in refused]
    for pattern in patterns:
        matches = [each for each in sorted(checkout.glob(pattern)) if each != checkout]
        problems += [] if matches else [f"{one_line(pattern)!r} names nothing in the checkout"]
        for match in matches:
            path = match.relative_to(checkout).as_posix()
            if problem := _why_not_shown(checkout, path, files):
                problems.append(f"{one_line(path)!r} {problem}")
            elif match.is_dir():
                folders.append(Place(path, nearest(path, files)))
            else:
                single[path] = _file(match, path)
    more = max(len(folders), len(single)) > _MOST_INCLUDED
    problems += [f"more than {_MOST_INCLUDED} are named: the others are left out"] if more else []
    return Named(
        tuple(folders[:_MOST_INCLUDED]),
        tuple(single.values())[:_MOST_INCLUDED],
        tuple(f"{INCLUDE_FILE}: {problem}." for problem in problems),
    )


def _file(file: Path, path: str) -> Dependencies:
    content = regular_content(file) or b""
    state = hashlib.sha256(content).hexdigest()[:16]
    return Dependencies(path=path, source=str(file.resolve()), state=state, is_file=True)


def _why_not_shown(checkout: Path, path: str, files: Sequence[str]) -> str:
    if any(file == path or file.startswith(f"{path}/") for file in files):
        return "holds files of the base"
    if not _inside(checkout, path):
        return "leads out of the checkout"
    found = (checkout / path).stat()
    if stat.S_ISDIR(found.st_mode):
        return ""
    if not stat.S_ISREG(found.st_mode):
        return "is neither folder nor file"
    limit = f"is larger than {_MOST_FILE_BYTES // 1_000_000} MB"
    return limit if found.st_size > _MOST_FILE_BYTES else ""


def _inside(checkout: Path, path: str) -> bool:
    """Return whether a path leads to where it seems to: the author of a link chose its target."""
    return (checkout / path).resolve() == checkout.resolve() / path


def nearest(path: str, files: Sequence[str]) -> str:
    """Return the nearest folder above a path that has files of the base, "" for the top."""
    above = path.rpartition("/")[0]
    while above and not any(file.startswith(f"{above}/") for file in files):
        above = above.rpartition("/")[0]
    return above


def contents(checkout: Path, place: Place) -> str | None:
    """Return what is installed at a place of a checkout, in words; None when nothing is."""
    found = _installed(checkout, place, {})
    return None if found is None else found.contents


def _installed(checkout: Path, place: Place, base: Mapping[str, str]) -> Dependencies | None:
    folder = checkout / place.path
    if not (place.python or _inside(checkout, place.path)):
        return None
    if not (is_environment(folder) if place.python else _has_content(folder)):
        return None
    source = folder.resolve()
    said = {path: base[path] for path in place.stated_in if path in base}
    changed = tuple(path for path, oid in said.items() if _object_id(checkout / path) != oid)
    state = f"{sorted(said.items())} {changed} {source.stat().st_mtime_ns}"
    return Dependencies(
        path=place.path,
        source=str(source),
        below=place.below,
        read_only=place.python,
        contents=python_contents(source) if place.python else "",
        outdated_by=changed,
        state=hashlib.sha256(state.encode("utf-8", "surrogateescape")).hexdigest()[:16],
    )


def _has_content(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:  # none, a file, or closed to the worker
        return False


def python_contents(environment: Path) -> str:
    """Return the version of a virtual environment and how many packages it has, in words."""
    said = regular_content(environment / "pyvenv.cfg") or b""
    version = _VERSION.search(said.decode("utf-8", "replace"))
    packages = len(list(environment.glob("lib/python*/site-packages/*.dist-info")))
    return f"Python {version[1] if version else 'of unknown version'}, {packages} packages"


def _object_id(file: Path) -> str | None:
    """Return the id that git would give a file's content; None when it cannot be read."""
    content = regular_content(file)
    if content is None:
        return None
    # Git's name for it, no protection.
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
