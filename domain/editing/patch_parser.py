"""Reads a patch in either of the two forms in which agents write it.

A unified diff, or the form between `*** Begin Patch` and `*** End Patch`. Nothing is known here of
what the files hold.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Final

from domain.editing import begin_patch, unified_diff
from domain.editing.patch import FilePatch, PatchProblem, PatchText

MOST_FILES: Final = 100
MOST_HUNKS: Final = 1_000


@lru_cache(maxsize=8)
def parse_patch(text: str) -> PatchText:
    """Return the patch that a text is.

    Raises:
        PatchProblem: it is none, it changes nothing, or it is too large.
    """
    lines = _as_lines(text)
    form = begin_patch if begin_patch.begins(lines) else unified_diff
    patch = PatchText(tuple(_plain(each) for each in form.files(lines)))
    if not patch.files:
        raise PatchProblem("no file is changed by it")
    if len(patch.files) > MOST_FILES:
        raise PatchProblem(f"it changes {len(patch.files)} files, at most {MOST_FILES} in one call")
    if sum(len(each.hunks) for each in patch.files) > MOST_HUNKS:
        raise PatchProblem(f"it has more than {MOST_HUNKS:,} hunks: make several calls")
    return patch


def paths_changed(arguments: Mapping[str, object]) -> tuple[str, ...]:
    """Return the paths that a call changes whose argument `patch` is a patch; () for no patch."""
    try:
        return parse_patch(str(arguments.get("patch", ""))).paths
    except PatchProblem:
        return ()


def _plain(found: FilePatch) -> FilePatch:
    moved = found.moved_to
    to = None if moved is None else _plain_path(moved)
    path = _plain_path(found.path)
    return replace(found, path=path, moved_to=None if to == path else to)


def _plain_path(path: str) -> str:
    """Return a relative path in the one form in which trees name it; others are refused later.

    Raises:
        PatchProblem: it names a folder.
    """
    if path.endswith("/"):
        raise PatchProblem(f"{path} is a folder: name a file")
    if path.startswith("/"):
        return path
    return "/".join(part for part in path.split("/") if part not in {"", "."})


def _as_lines(text: str) -> list[str]:
    """Return the lines of a patch; they keep a CR only where the patch tells line ends by it."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    if all(line.endswith("\r") for line in lines):  # the patch itself came with CRLF
        return [line[:-1] for line in lines]
    return lines
