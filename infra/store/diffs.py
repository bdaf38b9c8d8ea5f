"""Differences between two trees or commits: paths, a summary, a patch, an id of the change."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

from infra.git.command import GitResult
from infra.store.store import Store

Status = Literal["A", "M", "D", "T"]
"""Added, modified (content or mode), deleted, another type of entry."""


@dataclass(frozen=True)
class PathChange:
    """One path that differs between two trees; a moved file is one D and one A.

    Attributes:
        path: from the root, components separated by "/".
        mode: after the change; 000000 when it was deleted.
        before, after: object ids of its content; zeros where there is none.
        added_lines: None = binary, and then `deleted_lines` too.
        mode_before: as `mode`, before the change; 000000 when it was added.
    """

    path: str
    status: Status
    mode: str
    before: str
    after: str
    added_lines: int | None
    deleted_lines: int | None
    mode_before: str = ""


async def changes(store: Store, before: str, after: str) -> list[PathChange]:
    """Return what differs, sorted by path as git does."""
    options = ("-z", "--raw", "--no-abbrev", "--numstat", "--no-renames")
    return _parsed((await _diff(store, *options, between=(before, after))).out)


async def diffstat(store: Store, before: str, after: str) -> str:
    """Return git's diffstat: at most 50 files and the sum."""
    found = await _diff(store, "--stat=100,80,50", between=(before, after))
    return found.out.decode("utf-8", "replace").rstrip("\n")


async def patch_text(store: Store, before: str, after: str, limit_bytes: int) -> tuple[str, bool]:
    """Return a unified diff, renames found, and whether it was cut.

    A cut diff ends with a whole line and is at most `limit_bytes` long. Bytes that are not
    UTF-8 are replaced, so it is for reading, not for applying.
    """
    options = ("-p", "--find-renames")
    found = await _diff(store, *options, between=(before, after), max_bytes=limit_bytes)
    data = found.out
    if found.truncated:
        data = data[: data.rfind(b"\n") + 1]
    return data.decode("utf-8", "replace"), found.truncated


async def text_of(
    store: Store, before: str, after: str, paths: Sequence[str], limit_bytes: int
) -> str:
    """Return the unified diff of some paths, at most so long; for reading."""
    literal = (f":(literal){path}" for path in paths)
    found = await store.run(
        *("diff", "--no-ext-diff", "--no-textconv", "--no-color"),
        *(await store.full_id(before), await store.full_id(after), "--", *literal),
        reads=True,
        max_bytes=limit_bytes,
    )
    return found.out.decode("utf-8", "replace")


async def patch_id(store: Store, before: str, after: str) -> str | None:
    """Return an id of the change itself, equal where the same change was made elsewhere.

    Line numbers and white space do not count. None = no difference.
    """
    options = ("-p", "--full-index", "--no-renames")
    patch = await _diff(store, *options, between=(before, after))
    found = await store.run("patch-id", "--stable", stdin=patch.out)
    return found.text.split(" ")[0] or None


async def _diff(
    store: Store, *options: str, between: tuple[str, str], max_bytes: int | None = None
) -> GitResult:
    before, after = await store.full_id(between[0]), await store.full_id(between[1])
    return await store.run(
        "diff-tree", "-r", "--no-ext-diff", "--no-textconv", *options, before, after,
        reads=True, max_bytes=max_bytes,
    )  # fmt: skip


def _parsed(out: bytes) -> list[PathChange]:
    """Read the output of `diff-tree -r -z --raw --numstat`."""
    fields = [os.fsdecode(field) for field in out.split(b"\0") if field]
    raw: dict[str, list[str]] = {}
    at = 0
    while at < len(fields) and fields[at].startswith(":"):
        raw[fields[at + 1]] = fields[at].split(" ")
        at += 2
    counts: dict[str, tuple[int | None, int | None]] = {}
    for row in fields[at:]:
        added, deleted, path = row.split("\t", 2)
        counts[path] = (_lines(added), _lines(deleted))
    return [
        PathChange(
            path, cast("Status", status), mode, before, after, *counts.get(path, (0, 0)), was[1:]
        )
        for path, (was, mode, before, after, status) in raw.items()
    ]


def _lines(word: str) -> int | None:
    return None if word == "-" else int(word)
