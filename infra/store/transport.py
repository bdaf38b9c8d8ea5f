"""The user's repository: fetched from, and given one branch; nothing else in it changes."""

import os
from pathlib import Path
from typing import Final

from infra.git.command import GitError
from infra.store.errors import BranchTaken, ObjectMissing, StoreError
from infra.store.object_format import is_oid
from infra.store.refs import ANY, check_ref
from infra.store.remote import remote_error, remote_url
from infra.store.store import Store

_UPLOAD: Final = "--upload-pack=git -c uploadpack.allowAnySHA1InWant=true upload-pack"

# Of the user's repository only the branch and its objects may change: no hook, no clean-up, no
# checkout, no server files.
RECEIVE: Final = (
    "--receive-pack=git -c core.hooksPath=/dev/null -c core.fsmonitor= -c receive.autogc=false "
    "-c gc.auto=0 -c maintenance.auto=false -c receive.denyCurrentBranch=refuse "
    "-c receive.updateServerInfo=false -c receive.maxInputSize=0 receive-pack"
)
"""How the user's repository receives the branch."""


async def fetch(store: Store, source: Path, what: str, into_ref: str) -> str:
    """Bring a branch or commit of another repository into the store, whole, pin and return it.

    Safe to repeat. Nothing is written in `source` and none of its hooks runs.

    Args:
        store: fetches.
        source: a repository, bare or not.
        what: a branch name, "HEAD", or a full commit id.
        into_ref: pins it, below `refs/oc/`; moved wherever it was.

    Raises:
        ObjectMissing: there is no such branch or commit.
        StoreError: no repository, or git failed.
    """
    url = remote_url(source)
    oid = what if is_oid(what) else await _remote_branch(store, url, what)
    if oid is None:
        raise ObjectMissing(what, f"no such branch in {url}")
    await fetch_objects(store, source, oid)
    await store.advance(into_ref, oid, ANY)
    return oid


async def fetch_objects(store: Store, source: Path, *oids: str) -> None:
    """Bring objects of another repository into the store, with all that they need, unpinned.

    Raises:
        ObjectMissing: one of them is not there.
        StoreError: no repository, or git failed.
    """
    url = remote_url(source)
    options = (
        "--quiet", "--no-write-fetch-head", "--no-tags", "--no-auto-maintenance",
        "--no-recurse-submodules", "--no-show-forced-updates", "--update-shallow", _UPLOAD,
    )  # fmt: skip
    wanted = "".join(f"{oid}\n" for oid in oids).encode()
    try:
        await store.git("fetch", *options, "--stdin", "--", url, stdin=wanted)
    except GitError as failed:
        if "not our ref" in failed.stderr or "unadvertised object" in failed.stderr:
            raise ObjectMissing(oids[0], f"no such commit in {url}") from failed
        raise remote_error(failed, url) from failed


async def remote_tags(store: Store, source: Path, *, most: int) -> dict[str, str]:
    """Return the tags of another repository, the last ones by version: name to object id.

    Raises:
        StoreError: no repository, or git failed.
    """
    url = remote_url(source)
    words = ("ls-remote", "--tags", "--refs", "--sort=-version:refname", _UPLOAD, "--", url)
    try:
        found = await store.git(*words, reads=True)
    except GitError as failed:
        raise remote_error(failed, url) from failed
    rows = (line.partition("\t") for line in os.fsdecode(found.out).splitlines()[:most])
    return {ref.removeprefix("refs/tags/"): oid for oid, _, ref in rows}


async def push(
    store: Store,
    target: Path,
    oid: str,
    branch: str,
    *,
    pass_fds: tuple[int, ...] = (),
    umask: int = -1,
) -> None:
    """Create a branch in another repository; nothing else in it changes and no hook runs.

    Safe to repeat: a branch that is at `oid` already is a success.

    Args:
        store: pushes.
        target: a repository, bare or not.
        oid: full id of a commit in the store.
        branch: short name; must not exist yet.
        pass_fds: open files that git shares, so that a lock on one outlives this process.
        umask: for the files that git makes there; -1 = this process's.

    Raises:
        BranchTaken: the branch exists with another commit.
        StoreError: it is checked out there, no repository, a wrong name, or git failed.
    """
    check_ref(f"refs/heads/{branch}")
    if branch.startswith("-") or not is_oid(oid):
        raise StoreError(f"cannot push {oid!r} as the branch {branch!r}")
    url = remote_url(target)
    if await _already(store, url, oid, branch):
        return
    full = f"refs/heads/{branch}"
    options = ("--quiet", "--no-verify", "--no-follow-tags", "--recurse-submodules=no")
    lease = f"--force-with-lease={full}:"
    try:
        words = ("push", *options, RECEIVE, lease, "--", url, f"{oid}:{full}")
        await store.git(*words, pass_fds=pass_fds, umask=umask)
    except GitError as failed:
        if await _already(store, url, oid, branch):
            return
        raise _refused(failed, url, branch) from failed


async def pushed(store: Store, target: Path, oid: str, branch: str) -> bool:
    """Return whether another repository has a branch at a commit, as after a push.

    Raises:
        StoreError: no repository there, or git failed.
    """
    return await _remote_branch(store, remote_url(target), branch) == oid


async def _already(store: Store, url: str, oid: str, branch: str) -> bool:
    there = await _remote_branch(store, url, branch)
    if there not in {None, oid}:
        raise BranchTaken(branch, str(there))
    return there == oid


async def _remote_branch(store: Store, url: str, branch: str) -> str | None:
    full = branch if branch == "HEAD" else f"refs/heads/{branch}"
    try:
        found = await store.git("ls-remote", _UPLOAD, "--", url, full, reads=True)
    except GitError as failed:
        raise remote_error(failed, url) from failed
    rows = (line.split("\t") for line in os.fsdecode(found.out).splitlines())
    return next((row[0] for row in rows if row[1:] == [full]), None)


def _refused(failed: GitError, url: str, branch: str) -> StoreError:
    if "checked out" in failed.stderr or "current branch" in failed.stderr:
        return StoreError(f"the branch {branch} is checked out in {url}; choose another name")
    return remote_error(failed, url)
