"""Local copies of the repositories that the dataset's patches are made for."""

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.cooperbench.dataset import DatasetError

_DEEP = 3


def find(folder: Path) -> list[Path]:
    """Return the git directories below a folder, bare ones and those of work trees.

    Raises:
        DatasetError: there is none.
    """
    found = sorted(_below(folder, _DEEP))
    if not found:
        raise DatasetError(f"{folder} holds no git repositories (bare clones of those patched).")
    return found


def holding(mirrors: Iterable[Path], commit: str) -> Path | None:
    """Return the first mirror that has a commit."""
    for mirror in mirrors:
        words = ["git", "--git-dir", str(mirror), "cat-file", "-e", f"{commit}^{{commit}}"]
        if subprocess.run(words, capture_output=True, check=False).returncode == 0:
            return mirror
    return None


def _below(folder: Path, deep: int) -> Iterator[Path]:
    if (folder / "objects").is_dir() and (folder / "HEAD").exists():
        yield folder
    elif deep and folder.is_dir():
        for path in folder.iterdir():
            yield from _below(path, deep - 1)
