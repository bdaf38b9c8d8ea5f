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


def create_private_git(
    layout: Layout, commit: str, index: Path, references: Mapping[str, str], uid: int | None
) -> None:
    """Create the git directory that commands in the worktree see, on a branch at `commit`.

    It borrows the store's objects and has references, configuration and index of its own, so
    nothing done in it reaches the store. It is written file by file: from its first lease on it
    belongs to the agent, and the worker's git must never run in it.

    `index` is a copy of its own of the commit's index. It has the given references beside its own
    branch: full name to object. The folder belongs to `uid`; None = to the
    worker.
    """
    folder = layout.private_git
    remove(folder)
    for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o700)
    (folder / "HEAD").write_text(f"ref: refs/heads/{BRANCH}\n")
    (folder / "refs" / "heads" / BRANCH).write_text(f"{commit}\n")
    (folder / "packed-refs").write_bytes(_packed(references))
    (folder / "config").write_text(_config(layout.path))
    (folder / SYSTEM_CONFIG).write_text(_SYSTEM)
    (folder / "objects" / "info" / "alternates").write_text(f"{layout.store / 'objects'}\n")
    for name in ("attributes", "exclude"):
        if (layout.store / "info" / name).is_file():
            shutil.copyfile(layout.store / "info" / name, folder / "info" / name)
    shutil.move(index, folder / "index")
    remove(layout.gitfile)
    layout.gitfile.write_text(f"gitdir: {folder}\n")
    if uid is not None:
        own(folder, uid)
        os.chown(layout.gitfile, uid, uid, follow_symlinks=False)


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
