"""The user's repository: fetched from, and given one branch; nothing else in it changes.

git works in `served` folders, never in the repository itself.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.git.command import GitError
from infra.store.errors import BranchTaken, ObjectMissing, StoreError
from infra.store.fetching import MORTAL_GIT, fetch_whole, remote_rows
from infra.store.object_format import is_oid
from infra.store.pack_folders import is_whole
from infra.store.refs import ANY, check_ref
from infra.store.remote import remote_error, remote_url
from infra.store.served import served
from infra.store.store import Store

# Of the user's repository only the branch and its objects may change: no hook, no clean-up, no
# checkout, no server files.
RECEIVE: Final = (
    f"--receive-pack={MORTAL_GIT} -c core.hooksPath=/dev/null -c core.fsmonitor= "
    "-c receive.autogc=false -c gc.auto=0 -c maintenance.auto=false "
    # Repositories that it borrows from are not asked: git would work in them.
    "-c core.alternateRefsCommand=: -c receive.denyCurrentBranch=refuse "
    "-c receive.updateServerInfo=false -c receive.maxInputSize=0 receive-pack"
)
"""How the user's repository receives the branch."""


async def fetch(store: Store, source: Path, what: str, into_ref: str) -> str:
    """Bring a branch or commit of another repository into the store, whole, pin and return it.

    Nothing comes that it does not reach: no other branch, stash, or object that only lies there.

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
    oid = what if is_oid(what) else await _branch_of(store, source, what)
    if oid is None:
        raise ObjectMissing(what, f"no such branch in {remote_url(source)}")
    if not is_whole(store.path, oid):
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
    try:
        async with served(source) as there:
            await fetch_whole(store.git, there, *oids)
    except GitError as failed:
        if "not our ref" in failed.stderr or "unadvertised object" in failed.stderr:
            raise ObjectMissing(oids[0], f"no such commit in {url}") from failed
        raise remote_error(failed, url) from failed


@dataclass(frozen=True)
class RemoteTag:
    """A tag of another repository: its own object, and the one that it names in the end."""

    oid: str
    names: str


async def remote_tags(store: Store, source: Path, *, most: int) -> dict[str, RemoteTag]:
    """Return the tags of another repository by name, the last ones by version.

    Raises:
        StoreError: no repository, or git failed.
    """
    try:
        async with served(source) as there:
            rows = await remote_rows(store.git, there, "--tags", "--sort=-version:refname")
    except GitError as failed:
        raise remote_error(failed, remote_url(source)) from failed
    peeled = {ref.removesuffix("^{}"): oid for ref, oid in rows if ref.endswith("^{}")}
    own = [(ref, oid) for ref, oid in rows if not ref.endswith("^{}")][:most]
    return {
        ref.removeprefix("refs/tags/"): RemoteTag(oid, peeled.get(ref, oid)) for ref, oid in own
    }


async def push(
    store: Store,
    target: Path,
    oid: str,
    branch: str,
    *,
    moves_from: str | None = None,
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
        moves_from: unless it is at this commit, from which it is moved.
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
    expected = (None, oid, moves_from)
    before = await _where(store, target, expected, branch)
    if before == oid:
        return
    full = f"refs/heads/{branch}"
    options = ("--quiet", "--no-verify", "--no-follow-tags", "--recurse-submodules=no")
    words = ("push", *options, RECEIVE, f"--force-with-lease={full}:{before or ''}", "--")
    try:
        async with served(target, written=True) as there:
            what = f"{oid}:{full}"
            await store.git(*words, str(there), what, pass_fds=pass_fds, umask=umask)
    except GitError as failed:
        if await _where(store, target, expected, branch) == oid:
            return
        raise _refused(failed, url, branch) from failed


async def pushed(store: Store, target: Path, oid: str, branch: str) -> bool:
    """Return whether another repository has a branch at a commit, as after a push.

    Raises:
        StoreError: no repository there, or git failed.
    """
    return await _branch_of(store, target, branch) == oid


async def _where(
    store: Store, target: Path, expected: tuple[str | None, ...], branch: str
) -> str | None:
    there = await _branch_of(store, target, branch)
    if there not in expected:
        raise BranchTaken(branch, str(there))
    return there


async def _branch_of(store: Store, source: Path, branch: str) -> str | None:
    full = branch if branch == "HEAD" else f"refs/heads/{branch}"
    try:
        async with served(source) as there:
            rows = await remote_rows(store.git, there, full)
    except GitError as failed:
        raise remote_error(failed, remote_url(source)) from failed
    return next((oid for name, oid in rows if name == full), None)


def _refused(failed: GitError, url: str, branch: str) -> StoreError:
    if "checked out" in failed.stderr or "current branch" in failed.stderr:
        return StoreError(
            f"the branch {branch} is checked out in {url}: check another one out there, or choose "
            "another name"
        )
    return remote_error(failed, url)
