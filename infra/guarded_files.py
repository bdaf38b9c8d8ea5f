"""The files of a worktree that rules keep from commands, as they lie there now."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from domain.policy.guards import Guards

MOST: Final = 500
"""Files and folders that one command is kept from: each is a mount."""

_GIT = ".git"


class TooManyGuarded(Exception):  # noqa: N818 - an answer, seldom an error
    """Rules keep more files from commands than can be mounted over."""


@dataclass(frozen=True)
class GuardedFiles:
    """Paths in a worktree, components separated by "/"; a folder stands for all in it.

    Attributes:
        closed: what commands cannot read.
        kept: what they can read and not change.
        outside: what they cannot read elsewhere, absolute.
    """

    closed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()


def guarded_files(root: Path, guards: Guards) -> GuardedFiles:
    """Return what rules keep from commands in a worktree; no link is followed.

    Takes a walk over the worktree where there are such rules: some 10 µs for each file and rule.

    Raises:
        TooManyGuarded: the rules keep more than `MOST` files and folders.
    """
    if not guards:
        return GuardedFiles()
    found = _Found([], [])
    waiting = [""]
    while waiting:
        waiting.extend(_looked_through(root, waiting.pop(), guards, found))
        if len(found.closed) + len(found.kept) > MOST:
            raise TooManyGuarded(
                f"Rules keep more than {MOST} files from commands: let them name whole folders"
            )
    return GuardedFiles(tuple(found.closed), tuple(found.kept), guards.closed_outside)


@dataclass(frozen=True)
class _Found:
    closed: list[str]
    kept: list[str]


def _looked_through(root: Path, folder: str, guards: Guards, found: _Found) -> Iterator[str]:
    """Note what is guarded in a folder; yield the folders in it that are not guarded as a whole."""
    with os.scandir(root / folder) as entries:
        inside = sorted(entries, key=lambda entry: entry.name)
    for entry in inside:
        path = f"{folder}/{entry.name}" if folder else entry.name
        if entry.is_dir(follow_symlinks=False):
            if path != _GIT and not _whole(path, guards, found):
                yield path
        elif not entry.is_file(follow_symlinks=False):
            continue
        elif guards.closed(path):
            found.closed.append(path)
        elif guards.kept(path):
            found.kept.append(path)


def _whole(path: str, guards: Guards, found: _Found) -> bool:
    """Note a folder that is guarded as a whole, and return whether it is."""
    if guards.folder_closed(path):
        found.closed.append(path)
        return True
    if guards.folder_kept(path) and not guards.guards_reads:
        found.kept.append(path)
        return True
    return False
