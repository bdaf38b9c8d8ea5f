"""Making a store out of a repository, and telling whether a folder is one of ours."""

import asyncio
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from infra.git.command import GitCommand, GitError
from infra.store.objects import sync_folder, sync_tree
from infra.store.types import StoreError

CONFIG: Final[Mapping[str, str]] = {
    # Version 1 and core.bare in config.worktree: what extensions.worktreeConfig asks for.
    "core.repositoryformatversion": "1",
    "extensions.worktreeconfig": "true",
    "core.filemode": "true",
    # git's default syncs neither loose objects nor references.
    "core.fsync": "committed",
    "core.fsyncmethod": "batch",
    # Clean-up must never race a worktree; only the janitor runs it.
    "gc.auto": "0",
    "gc.pruneexpire": "2.weeks",
    "maintenance.auto": "false",
    "core.untrackedcache": "true",
    "core.autocrlf": "false",
    "checkout.workers": "4",
    "worktree.guessremote": "false",
    "advice.addembeddedrepo": "false",
    "advice.addignoredfile": "false",
    "advice.detachedhead": "false",
    "advice.statushints": "false",
}
"""The whole configuration of a store, keys in lower case; a store with another one is refused."""

WORKTREE_CONFIG: Final[Mapping[str, str]] = {"core.bare": "true"}
"""The configuration of the bare repository itself, not shared with its worktrees."""

ATTRIBUTES: Final = "* -text -filter -ident -working-tree-encoding"
"""First line of `info/attributes`: bytes are stored as they are and no filter is ever chosen."""


def place_of(repository: Path) -> str:
    """Return how git is told where another repository is: absolute, so never an option."""
    return str(repository.absolute())


async def make(source: Path, path: Path) -> None:
    """
    Clone a repository into a store that does not exist yet; the caller holds the lock.

    The copy becomes visible under its name only when complete and synced.

    Raises:
        StoreError: no repository there, one with SHA-256 ids, or git failed.
    """
    await asyncio.to_thread(_remove_leftovers, path)
    fresh = path.parent / f".{path.name}.new-{secrets.token_hex(6)}"
    git = GitCommand(fresh)
    options = ("--quiet", "--bare", "--no-hardlinks", "--dissociate", "--template=")
    try:
        try:
            await git("clone", *options, "--", place_of(source), str(fresh), timeout_seconds=3_600)
            form = await git("rev-parse", "--show-object-format", reads=True)
        except GitError as failed:
            raise outside(failed, place_of(source)) from failed
        _check_format(source, form.text)
        await asyncio.to_thread(_settle, fresh)
        _place_at(fresh, path)
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True)
        raise
    sync_folder(str(path.parent))


def _remove_leftovers(path: Path) -> None:
    # Half-made copies of killed clones: whoever holds the lock is the only one making any.
    for leftover in path.parent.glob(f".{path.name}.new-*"):
        shutil.rmtree(leftover)


def _place_at(fresh: Path, path: Path) -> None:
    try:
        fresh.rename(path)
    except OSError as failed:
        raise StoreError(f"{path} is taken by something that is no store") from failed


def _check_format(source: Path, form: str) -> None:
    if form != "sha1":
        raise StoreError(f"{source} uses {form} object ids; only SHA-1 repositories work")


def _settle(fresh: Path) -> None:
    """Turn a fresh bare clone into a store: our configuration, none of its references, synced."""
    for name in ("hooks", "logs", "refs"):
        shutil.rmtree(fresh / name, ignore_errors=True)
    for name in ("packed-refs", "FETCH_HEAD", "description"):
        (fresh / name).unlink(missing_ok=True)
    (fresh / "refs" / "heads").mkdir(parents=True)
    (fresh / "refs" / "oc").mkdir()
    (fresh / "info").mkdir(exist_ok=True)
    (fresh / "info" / "attributes").write_text(ATTRIBUTES + "\n")
    (fresh / "HEAD").write_text("ref: refs/heads/main\n")
    (fresh / "config").write_text(_config_text(CONFIG))
    (fresh / "config.worktree").write_text(_config_text(WORKTREE_CONFIG))
    sync_tree(fresh)


def _config_text(values: Mapping[str, str]) -> str:
    lines: list[str] = []
    for key, value in values.items():
        section, _, name = key.partition(".")
        lines += [f"[{section}]", f"\t{name} = {value}"]
    return "\n".join(lines) + "\n"


async def verify(path: Path) -> None:
    """
    Check that a store is configured exactly as we made it, so that it runs no foreign program.

    Raises:
        StoreError: it is not; the wrong keys are named.
    """
    for name, wanted in (("config", CONFIG), ("config.worktree", WORKTREE_CONFIG)):
        found = await _read_config(path, name)
        if found != wanted:
            wrong = sorted(key for key, _ in found.items() ^ wanted.items())
            raise StoreError(f"the configuration of {path} is not ours: {', '.join(wrong)}")
    attributes = path / "info" / "attributes"
    if not attributes.is_file() or attributes.read_text().split("\n")[0] != ATTRIBUTES:
        raise StoreError(f"{attributes} does not begin with our line")


async def _read_config(path: Path, name: str) -> dict[str, str]:
    git = GitCommand(path)
    file = str(git.git_dir / name)
    try:
        found = await git("config", "--file", file, "--no-includes", "--list", "-z", reads=True)
    except GitError as failed:
        raise StoreError(f"the configuration of {path} cannot be read: {failed.stderr}") from failed
    rows = (row.partition("\n") for row in os.fsdecode(found.out).split("\0") if row)
    return {key: value for key, _, value in rows}


def outside(failed: GitError, place: str) -> StoreError:
    """Say in one sentence why git could not work with another repository."""
    said = failed.stderr
    if "dubious ownership" in said:
        return StoreError(f"{place} belongs to another user; run the worker as its owner")
    if "does not appear to be a git repository" in said or "does not exist" in said:
        return StoreError(f"there is no git repository at {place}")
    # Without git's many options: a person reads this where the request shows what it waits for.
    command = failed.args_tail.partition(" ")[0]
    return StoreError(f"{place}: git {command}: {said or f'exit code {failed.code}'}")
