"""Fetching from the user's repository into a store: what is asked for, with all that it needs."""

import asyncio
import os
import re
from pathlib import Path
from typing import Final

from infra.git.command import GitCommand, GitError
from infra.git.process_group import dies_with_parent

MORTAL_GIT: Final = " ".join((*dies_with_parent(), "git"))
"""How git starts the git at the other end."""

UPLOAD: Final = f"--upload-pack={MORTAL_GIT} -c uploadpack.allowAnySHA1InWant=true upload-pack"
"""How the user's repository hands out a commit."""

_OPTIONS: Final = (
    "--quiet", "--no-write-fetch-head", "--no-tags", "--no-auto-maintenance",
    "--no-recurse-submodules", "--no-show-forced-updates", "--update-shallow", UPLOAD,
)  # fmt: skip
_SECONDS: Final = 3_600.0
_WORKTREE_IN_THE_MAKING: Final = re.compile(r"bad object worktrees/[^/\s]+/HEAD")
_PAUSES: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Seconds; making a worktree takes milliseconds, or seconds on a busy machine."""


async def fetch_whole(git: GitCommand, there: Path, *oids: str) -> None:
    """Bring objects and what they need into git's repository, unpinned.

    Nothing else comes: no tag, branch, stash, or object that only lies there. For a moment while
    another process makes a worktree, its HEAD names no object, and git, which looks at what all
    worktrees have, fails: then it fetches again.

    Args:
        git: of the store.
        there: a `served` folder.
        oids: full ids.

    Raises:
        GitError: git failed, also because one of them is not there.
    """
    wanted = "".join(f"{oid}\n" for oid in oids).encode()
    words = ("fetch", *_OPTIONS, "--stdin", "--", str(there))
    for pause in _PAUSES:
        try:
            await git(*words, stdin=wanted, timeout_seconds=_SECONDS)
        except GitError as failed:
            if not _WORKTREE_IN_THE_MAKING.search(failed.stderr):
                raise
            await asyncio.sleep(pause)
        else:
            return
    await git(*words, stdin=wanted, timeout_seconds=_SECONDS)


async def remote_rows(git: GitCommand, there: Path, *words: str) -> list[tuple[str, str]]:
    """Return name and object id of references of a `served` folder, as `git ls-remote` does.

    Raises:
        GitError: git failed.
    """
    options = [word for word in words if word.startswith("-")]
    names = [word for word in words if not word.startswith("-")]
    found = await git("ls-remote", *options, UPLOAD, "--", str(there), *names, reads=True)
    rows = (line.partition("\t") for line in os.fsdecode(found.out).splitlines())
    return [(name, oid) for oid, _, name in rows]
