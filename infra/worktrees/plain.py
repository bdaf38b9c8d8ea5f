"""What git must not meet in a worktree: it opens some files without looking at what they are.

A FIFO named `.gitignore`, or as HEAD of a nested repository, stops it for ever; so does a link
from there to a device. Such names are removed before git runs. Everything else that is no file is
left alone: git does not open it.
"""

import errno
import os
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from infra.worktrees.layout import Layout

_READ_BY_NAME: Final = frozenset({b".gitignore", b".gitattributes", b".gitmodules"})
_HEAD_KIB: Final = 64
_TEXT_BYTES: Final = 4_096


def make_plain(layout: Layout) -> tuple[bytes, ...]:
    """Remove what would stop git; return the removed paths of the worktree, sorted.

    The caller holds the worktree's lock, and no command runs in it.
    """
    found = _found(layout.path, links="*/.git/*")
    removed = sorted({path for kind, path in found if _stops_git(layout, kind, path)})
    _unlink(layout.path, removed)
    # Nested repositories may have their data here, as those of submodules do.
    private = [
        path
        for kind, path in _found(layout.private_git, links="*")
        if kind in {b"s", b"k", b"b"}
        or (kind == b"c" and not _shares_inside(layout, _join(layout.private_git, path)))
    ]
    _unlink(layout.private_git, private)
    return tuple(removed)


def _unlink(top: Path, paths: Sequence[bytes]) -> None:
    """Remove files below a folder, by the paths by which git would open them."""
    if not paths:
        return
    folder = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in paths:
            try:
                os.unlink(path, dir_fd=folder)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:  # then git cannot open it either
                    raise
    finally:
        os.close(folder)


def _found(top: Path, *, links: str) -> list[tuple[bytes, bytes]]:
    """Return kind and path of what may stop git; find is ten times faster than Python.

    Kinds: s = no file, folder or link; k = a link whose path fits `links`; b = a HEAD that is too
    big; c = a `commondir`; of `.git` the letter of find.
    """
    kinds = (
        (r"s", ("!", "-type", "f", "!", "-type", "d", "!", "-type", "l")),
        (r"k", ("-type", "l", "-path", links)),
        (r"%y", ("-name", ".git")),
        (r"b", ("-name", "HEAD", "-size", f"+{_HEAD_KIB}k")),
        (r"c", ("-name", "commondir", "-type", "f")),
    )
    tests = [word for kind, test in kinds for word in ("-o", *test, "-printf", rf"{kind} %P\0")][1:]
    words = ("/usr/bin/find", "-P", str(top), "-mindepth", "1", *tests)
    found = subprocess.run(words, capture_output=True, check=False, env={}, cwd="/")
    rows = (row.partition(b" ") for row in found.stdout.split(b"\0") if row)
    return [(kind, path) for kind, _, path in rows]


def _stops_git(layout: Layout, kind: bytes, path: bytes) -> bool:
    folder, _, name = path.rpartition(b"/")
    inside = b".git" in path.split(b"/")[1:]  # the worktree's own is a file that the pool wrote
    if kind == b"s":
        return name in _READ_BY_NAME or inside
    if kind == b"k":
        return not _is_plain(_join(layout.path, path), layout)
    if kind == b"b":
        return inside
    if kind == b"c":
        return inside and not _shares_inside(layout, _join(layout.path, path))
    if not folder or kind == b"d":
        return False
    text = _text(_join(layout.path, path)).removeprefix(b"gitdir: ")
    return kind == b"l" or not _leads_inside(layout, _join(layout.path, folder), text)


def _shares_inside(layout: Layout, commondir: bytes) -> bool:
    return _leads_inside(layout, os.path.dirname(commondir), _text(commondir))  # noqa: PTH120


def _leads_inside(layout: Layout, folder: bytes, target: bytes) -> bool:
    """Return whether a path leads to data of git that was looked through as well."""
    found = os.path.realpath(os.path.join(folder, target))  # noqa: PTH118
    own, private = (os.fsencode(each.resolve()) for each in (layout.path, layout.private_git))
    if found == private or found.startswith(private + b"/"):
        return True
    return found.startswith(own + b"/") and b".git" in found[len(own) :].split(b"/")


def _is_plain(link: bytes, layout: Layout) -> bool:
    """Return whether a link of a nested repository leads to a file, or a folder looked through."""
    try:
        mode = os.stat(link).st_mode  # noqa: PTH116
    except OSError as error:
        return error.errno != errno.ENAMETOOLONG  # leads nowhere: cannot be opened
    if stat.S_ISDIR(mode):
        return _leads_inside(layout, b"/", os.path.realpath(link))
    own = os.fsencode(layout.path.resolve())
    return stat.S_ISREG(mode) and os.path.realpath(link).startswith(own + b"/")


def _text(file: bytes) -> bytes:
    """Return the first line of a regular file; "" of anything else."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        regular = stat.S_ISREG(os.fstat(handle).st_mode)
        # As git reads it: a blank at the end belongs to the path.
        return os.read(handle, _TEXT_BYTES).rstrip(b"\r\n") if regular else b""
    finally:
        os.close(handle)


def _join(top: Path, path: bytes) -> bytes:
    return os.path.join(os.fsencode(top), path)  # noqa: PTH118
