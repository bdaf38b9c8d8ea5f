"""The git directory that sandboxed commands see in place of the store."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from infra.git.command import IDENTITY_EMAIL, IDENTITY_NAME
from infra.ownership import own
from infra.sandbox.types import SYSTEM_CONFIG
from infra.worktrees.files import remove
from infra.worktrees.layout import Layout

BRANCH: Final = "work"
"""The branch that it has checked out."""

_USER = f"[user]\n\tname = {IDENTITY_NAME}\n\temail = {IDENTITY_EMAIL}\n"
# The machine's own comes last, so that it wins.
_SYSTEM = f"{_USER}[include]\n\tpath = /etc/gitconfig\n"


class PrivateGit:
    """The git directory that commands in a worktree see, on a branch at a commit.

    It borrows the objects that commands may see, or has a copy of them, and has references,
    configuration, index and its own work's objects itself, so nothing done in it reaches the store.
    It is written file by file: from its first lease on it belongs to the agent, and the worker's
    git must never run in it.

    Args:
        commit: where its branch is.
        references: beside its own branch: full name to object.
        visible: the folder whose `objects` it borrows.
        borrows: whether it does; else it has copies of them.

    Attributes:
        packs: where packs of further objects are put between `create` and `give_to`.
    """

    def __init__(
        self,
        layout: Layout,
        commit: str,
        references: Mapping[str, str],
        visible: Path,
        *,
        borrows: bool = True,
    ) -> None:
        self.packs = layout.private_git / "objects" / "pack"
        self._layout = layout
        self._commit = commit
        self._references = references
        self._visible = visible
        self._borrows = borrows

    def create(self, index: Path) -> None:
        """Create the folder anew; `index` is a copy of its own of the commit's index."""
        layout = self._layout
        folder = layout.private_git
        remove(folder)
        for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
            (folder / name).mkdir(parents=True)
        folder.chmod(0o700)
        (folder / "HEAD").write_text(f"ref: refs/heads/{BRANCH}\n")
        (folder / "refs" / "heads" / BRANCH).write_text(f"{self._commit}\n")
        (folder / "packed-refs").write_bytes(_packed(self._references))
        (folder / "config").write_text(_config(layout.path))
        (folder / SYSTEM_CONFIG).write_text(_SYSTEM)
        if self._borrows:
            borrowed = folder / "objects" / "info" / "alternates"
            borrowed.write_text(f"{self._visible / 'objects'}\n")
        else:
            # No links: these files are given to the agent's user.
            shutil.copytree(self._visible / "objects" / "pack", self.packs, dirs_exist_ok=True)
        for name in ("info/attributes", "info/exclude", "shallow"):
            if (layout.store / name).is_file():
                shutil.copyfile(layout.store / name, folder / name)
        shutil.move(index, folder / "index")
        remove(layout.gitfile)
        layout.gitfile.write_text(f"gitdir: {folder}\n")

    def give_to(self, uid: int | None) -> None:
        """Give it to its user; None = it stays the worker's."""
        if uid is not None:
            own(self._layout.private_git, uid)
            os.chown(self._layout.gitfile, uid, uid, follow_symlinks=False)


def _packed(references: Mapping[str, str]) -> bytes:
    own = f"refs/heads/{BRANCH}"
    rows = (
        os.fsencode(f"{oid} {name}\n")
        for name, oid in sorted(references.items())
        if name != own and not name.startswith(f"{own}/")
    )
    return b"".join(rows)


def _config(worktree: Path) -> str:
    quoted = str(worktree).replace("\\", "\\\\").replace('"', '\\"')
    return (
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n"
        f'\tlogallrefupdates = true\n\tworktree = "{quoted}"\n'
        f"{_USER}"
        # Packing would copy nothing of the store, but its daemon may outlive the command.
        "[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n"
    )
