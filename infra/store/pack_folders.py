"""Folders with packs of exactly the objects that one commit reaches; see `infra.store.visible`."""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

FOLDER: Final = "oc-visible"
"""The folder of a store that holds them, one a view."""

_ORIGIN: Final = "origin"
FIRST: Final = "first-"
"""What the name of a folder begins with that says what the first packs of a store hold."""


def keep_first(store: Path, commit: str) -> None:
    """Note that all packs of a new store together are exactly what a commit reaches."""
    packs = store / "objects" / "pack"
    lay_out(store / FOLDER / f"{FIRST}{commit}", commit, packs.iterdir())


def is_whole(store: Path, commit: str) -> bool:
    """Return whether a store is known to have all that a commit reaches."""
    return (store / FOLDER / f"{FIRST}{commit}").is_dir()


def lay_out(folder: Path, origin: str, packs: Iterable[Path]) -> None:
    """Make a folder that holds these packs, by hard links where the file system has them."""
    target = folder / "objects" / "pack"
    target.mkdir(parents=True)
    (folder / "objects" / "info").mkdir()
    (folder / _ORIGIN).write_text(f"{origin}\n")
    for pack in _whole_packs(packs):
        try:
            os.link(pack, target / pack.name)
        except OSError:
            shutil.copyfile(pack, target / pack.name)


def move_packs(folder: Path, into: Path) -> None:
    """Move packs, also to another file system; the index, by which git finds one, comes last."""
    for file in sorted(folder.iterdir(), key=lambda each: each.suffix == ".idx"):
        shutil.move(file, into / file.name)


def _whole_packs(files: Iterable[Path]) -> Iterator[Path]:
    return (file for file in files if file.suffix in {".pack", ".idx", ".rev"})


def origin_of(folder: Path) -> str:
    """Return the commit that a folder of packs is of."""
    return (folder / _ORIGIN).read_text().strip()
