"""Creating a store from a repository, and checking that a folder is an OrchestCode store."""

import asyncio
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from infra.fsync import sync_folder, sync_tree
from infra.git.command import GitCommand, GitError
from infra.store.errors import StoreError
from infra.store.fetching import fetch_whole
from infra.store.pack_folders import keep_first
from infra.store.remote import remote_error, remote_url
from infra.store.served import served

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


async def create_store(source: Path, path: Path, base: str | None) -> None:
    """Make a store that does not exist yet; the caller holds the store's lock.

    It holds what the base reaches and nothing else of the repository. It becomes visible under
    its name only when complete and synced.

    Raises:
        StoreError: no repository there, one with SHA-256 ids, or git failed.
    """
    await asyncio.to_thread(_remove_leftovers, path)
    fresh = path.parent / f".{path.name}.new-{secrets.token_hex(6)}"
    try:
        try:
            async with served(source) as there:
                form = await GitCommand(there)("rev-parse", "--show-object-format", reads=True)
                _check_format(source, form.text)
                await _fill(fresh, there, base)
        except GitError as failed:
            raise remote_error(failed, remote_url(source)) from failed
        await asyncio.to_thread(sync_tree, fresh)
        _rename(fresh, path)
    except BaseException:
        await asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True)
        raise
    sync_folder(str(path.parent))


async def _fill(fresh: Path, there: Path, base: str | None) -> None:
    await asyncio.to_thread(_lay_out, fresh)
    if base is not None:
        one_pack = ("-c", "fetch.unpackLimit=1")
        await fetch_whole(GitCommand(fresh, options=one_pack), there, base)
        await asyncio.to_thread(keep_first, fresh, base)


def _remove_leftovers(path: Path) -> None:
    # Incomplete copies of killed clones: no other process creates one while we hold the lock.
    for leftover in path.parent.glob(f".{path.name}.new-*"):
        shutil.rmtree(leftover)


def _rename(fresh: Path, path: Path) -> None:
    try:
        fresh.rename(path)
    except OSError as failed:
        raise StoreError(
            f"{path} exists but is not an OrchestCode store; move it away."
        ) from failed


def _check_format(source: Path, form: str) -> None:
    if form != "sha1":
        raise StoreError(f"{source} uses {form} object ids; only SHA-1 repositories work")


def _lay_out(fresh: Path) -> None:
    """Write an empty store."""
    for name in ("objects/info", "objects/pack", "refs/heads", "refs/oc", "info"):
        (fresh / name).mkdir(parents=True)
    (fresh / "info" / "attributes").write_text(ATTRIBUTES + "\n")
    (fresh / "HEAD").write_text("ref: refs/heads/main\n")
    (fresh / "config").write_text(_config_text(CONFIG))
    (fresh / "config.worktree").write_text(_config_text(WORKTREE_CONFIG))


def _config_text(values: Mapping[str, str]) -> str:
    lines: list[str] = []
    for key, value in values.items():
        section, _, name = key.partition(".")
        lines += [f"[{section}]", f"\t{name} = {value}"]
    return "\n".join(lines) + "\n"


async def verify_config(path: Path) -> None:
    """Check that a store has exactly our configuration, so that it runs no foreign program.

    Raises:
        StoreError: it is not; the wrong keys are named.
    """
    for name, wanted in (("config", CONFIG), ("config.worktree", WORKTREE_CONFIG)):
        found = await _read_config(path, name)
        if found != wanted:
            wrong = sorted(key for key, _ in found.items() ^ wanted.items())
            raise StoreError(
                f"the configuration of {path} is not OrchestCode's: {', '.join(wrong)}"
            )
    attributes = path / "info" / "attributes"
    if not attributes.is_file() or attributes.read_text().split("\n")[0] != ATTRIBUTES:
        raise StoreError(f"{attributes} does not begin with OrchestCode's line")


async def _read_config(path: Path, name: str) -> dict[str, str]:
    git = GitCommand(path)
    file = str(git.git_dir / name)
    try:
        found = await git("config", "--file", file, "--no-includes", "--list", "-z", reads=True)
    except GitError as failed:
        raise StoreError(f"the configuration of {path} cannot be read: {failed.stderr}") from failed
    rows = (row.partition("\n") for row in os.fsdecode(found.out).split("\0") if row)
    return {key: value for key, _, value in rows}
