"""
What a pooled worktree is on disk: its folders, its record, its lock, its private git directory.

Blocking file work only; no git process runs here and nothing is decided about leases.
"""

import asyncio
import contextlib
import dataclasses
import json
import os
import secrets
import shutil
import stat
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.git.command import IDENTITY_EMAIL, IDENTITY_NAME
from infra.locks import holder, locked

CONTROL_FOLDER: Final = ".pool"
"""Where the pool keeps what the worktrees themselves must not hold."""

BRANCH: Final = "work"
"""The branch that the private git directory has checked out."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Fenced(Exception):  # noqa: N818 - named for what happened
    """The lease is over: the worktree was given to another holder, or back to the pool."""


class WorktreeBusy(Exception):  # noqa: N818 - named for what happened
    """Another attempt is still at work in the worktree; ask again later."""


class WorktreeBroken(Exception):  # noqa: N818 - named for what happened
    """The worktree is not what the pool made: it is not there, or cannot be brought to a commit."""


@dataclass(frozen=True, kw_only=True)
class WorktreeRecord:
    """
    What the pool remembers of one worktree.

    Attributes:
        name: the worktree.
        holder: who has the lease; None = nobody.
        epoch: counts the leases, from 1; it never goes back.
        commit: the commit that was leased.
        checkpoint: the commit that the files equal when `in_flight` is None.
        in_flight: the call that may have left them half changed; None = no call has.
        uid: user and group of the files; None = the worker's own.
        boot: the boot of the host in which the files were written. After another one their
            content is unknown, because worktree files are never synced.
    """

    name: str
    holder: str | None
    epoch: int
    commit: str
    checkpoint: str
    in_flight: str | None
    uid: int | None
    boot: str


@dataclass(frozen=True)
class Layout:
    """
    Where everything of one worktree lies.

    Attributes:
        pool: the pool's folder.
        store: the store.
        name: the worktree.
    """

    pool: Path
    store: Path
    name: str

    @property
    def path(self) -> Path:
        """Return the working directory."""
        return self.pool / self.name

    @property
    def admin(self) -> Path:
        """Return the worktree's administrative folder in the store: GIT_DIR for our own git."""
        return self.store / "worktrees" / self.name

    @property
    def private_git(self) -> Path:
        """
        Return the git directory that commands in the sandbox see; our own git never runs in it.
        """
        return self._control(".git")

    @property
    def gitfile(self) -> Path:
        """Return the file that covers `.git` of the worktree in the sandbox."""
        return self._control(".gitfile")

    @property
    def index(self) -> Path:
        """Return the index of the scans, apart from the one a person may use in the worktree."""
        return self._control(".index")

    @property
    def record(self) -> Path:
        """Return the file of the record."""
        return self._control(".json")

    @property
    def lock(self) -> Path:
        """Return the lock file."""
        return self._control(".lock")

    def _control(self, suffix: str) -> Path:
        return self.pool / CONTROL_FOLDER / f"{self.name}{suffix}"

    def intact(self) -> bool:
        """
        Return whether the working directory and its administrative folder are there and linked.
        """
        head = _content(self.admin / "HEAD") or ""
        return (
            self.path.is_dir()
            and not self.path.is_symlink()
            and _content(self.admin / "commondir") == "../.."
            and _content(self.admin / "gitdir") == str(self.path / ".git")
            and (head.startswith("ref: refs/") or len(head) == 40)
        )

    def linked(self) -> bool:
        """
        Return whether the working directory holds the `.git` file that the pool put there.

        An unmounted or replaced folder does not, so its emptiness is nobody's work.
        """
        return _content(self.path / ".git") == f"gitdir: {self.admin}"


def boot_id() -> str:
    """Return what names this boot of the host."""
    return _BOOT_ID.read_text().strip()


def _content(file: Path) -> str | None:
    """Return the stripped text of a small regular file; None when it is anything else."""
    try:
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return None
        return os.fsdecode(os.read(handle, 4_096)).strip()
    finally:
        os.close(handle)


# ---- records


def read_record(layout: Layout) -> WorktreeRecord | None:
    """
    Return the record; None when there is none.

    Raises:
        WorktreeBroken: there is one that nobody can read, so its epoch is unknown.
    """
    try:
        fields = json.loads(layout.record.read_bytes())
        return WorktreeRecord(**{"name": layout.name, **fields})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as wrong:
        raise WorktreeBroken(f"the record {layout.record} cannot be read: {wrong}") from wrong


def write_record(layout: Layout, record: WorktreeRecord, *, lasting: bool = True) -> None:
    """
    Write the record, whole or not at all. The caller holds the lock.

    Args:
        layout: of the worktree.
        record: what to write.
        lasting: durable on return; False where the record before is as good after the host fell.
    """
    fields = dataclasses.asdict(record)
    del fields["name"]
    fresh = layout.record.with_suffix(".json.new")
    with fresh.open("w") as stream:
        json.dump(fields, stream)
        stream.flush()
        os.fsync(stream.fileno())
    fresh.replace(layout.record)
    if not lasting:
        return
    folder = os.open(fresh.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


# ---- locks


@contextlib.asynccontextmanager
async def held(mutex: asyncio.Lock, file: Path, *, seconds: float) -> AsyncIterator[int]:
    """
    Hold a lock against the other tasks of this process and against other processes.

    The lock belongs to the open file, so a git child that is given the descriptor keeps it after
    the death of its parent: whoever comes next waits until that child has stopped writing.

    Args:
        mutex: the lock inside this process.
        file: the lock file; made when missing, never removed.
        seconds: how long to wait; 0 = not at all.

    Yields:
        The descriptor of the locked file.

    Raises:
        WorktreeBusy: others held it all the time.
    """
    async with contextlib.AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(seconds):
                await stack.enter_async_context(mutex)
                handle = await stack.enter_async_context(locked(file))
        except TimeoutError:
            by = f" by {holder(file)}" if seconds else ""
            raise WorktreeBusy(f"{file.stem} is in use{by}") from None
        yield handle


def remove_stale_locks(layout: Layout) -> None:
    """Remove the lock files of killed git processes; only the holder of the lock may do so."""
    for file in layout.admin.glob("*.lock"):
        file.unlink(missing_ok=True)
    layout.index.with_name(f"{layout.index.name}.lock").unlink(missing_ok=True)
    # The sandbox's user owns this folder and may have put links in it: none is followed.
    if not layout.private_git.is_dir():
        return
    for _, _, files, folder in os.fwalk(layout.private_git, follow_symlinks=False):
        for name in files:
            if name.endswith(".lock"):
                os.unlink(name, dir_fd=folder)


# ---- files


def tidy(layout: Layout, *, folders: Iterable[bytes], links: Iterable[bytes]) -> None:
    """
    Remove what `git clean` leaves: nested repositories, special files, content of submodules.

    Args:
        layout: the worktree, just checked out and cleaned.
        folders: its tracked folders.
        links: its links to other repositories.
    """
    root = os.fsencode(layout.path)
    for folder in (b"", *folders):
        place = os.path.join(root, folder)  # noqa: PTH118 - Path knows no bytes
        allow_owner(place)
        with os.scandir(place) as entries:
            left = [each.path for each in entries if _never_tracked(each, top=not folder)]
        for path in left:
            remove(path)
    for link in links:
        place = os.path.join(root, link)  # noqa: PTH118
        remove(place)
        os.makedirs(place)  # noqa: PTH103
    layout.path.chmod(0o700)  # the users of other worktrees have no business here
    if not layout.linked():
        gitfile = layout.path / ".git"
        remove(os.fsencode(gitfile))
        gitfile.write_text(f"gitdir: {layout.admin}\n")


def _never_tracked(entry: os.DirEntry[bytes], *, top: bool) -> bool:
    if entry.name == b".git":
        return not top
    file = entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False)
    return not file and not entry.is_symlink()


def allow_owner(folder: bytes | Path) -> None:
    """Give the owner of a folder its use back, should a command have taken it away."""
    mode = os.lstat(folder).st_mode
    if stat.S_ISDIR(mode) and mode & 0o700 != 0o700:
        os.chmod(folder, stat.S_IMODE(mode) | 0o700)  # noqa: PTH101


def remove(path: bytes | Path) -> None:
    """Remove a file, link or folder, whatever its permissions; nothing when it is not there."""
    name = os.fsencode(path)
    try:
        mode = os.lstat(name).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        unlock(name)
        shutil.rmtree(name)
    else:
        os.unlink(name)  # noqa: PTH108


def discard(layout: Layout) -> None:
    """
    Remove the working directory; what cannot be removed is out of the way all the same.

    Renamed first: a removal that is cut short would leave something that looks like a worktree.
    """
    trash = layout.pool / CONTROL_FOLDER / f"{layout.name}.trash-{secrets.token_hex(4)}"
    with contextlib.suppress(FileNotFoundError):
        allow_owner(layout.path)  # a folder closed to its owner cannot be moved
        layout.path.rename(trash)
    for leftover in trash.parent.glob(f"{layout.name}.trash-*"):
        with contextlib.suppress(OSError, RecursionError):
            remove(leftover)


def unlock(top: bytes | Path) -> None:
    """Give the owner back the use of every folder and the reading of every file below `top`."""
    waiting = [os.fsencode(top)]
    while waiting:
        folder = waiting.pop()
        allow_owner(folder)
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    _allow_reading(entry)


def _allow_reading(entry: os.DirEntry[bytes]) -> None:
    mode = entry.stat(follow_symlinks=False).st_mode
    if not mode & 0o400:
        os.chmod(entry.path, stat.S_IMODE(mode) | 0o600)  # noqa: PTH101


def own(top: Path, uid: int) -> None:
    """
    Give everything below `top`, and itself, to a user and the group of the same number.

    What has that owner already is not touched: a change of owner makes an index stale.
    """
    for _, folders, files, handle in os.fwalk(os.fsencode(top), follow_symlinks=False):
        if os.fstat(handle).st_uid != uid:
            os.fchown(handle, uid, uid)
        for name in (*files, *folders):
            found = os.stat(name, dir_fd=handle, follow_symlinks=False)
            if found.st_uid != uid:
                os.chown(name, uid, uid, dir_fd=handle, follow_symlinks=False)


def copy_index(source: Path, target: Path) -> None:
    """Copy an index with its time, by which git knows the entries that it must not trust."""
    fresh = target.with_name(f"{target.name}.new")
    shutil.copy2(source, fresh)
    fresh.replace(target)


# ---- the git directory of the sandbox


def make_private_git(layout: Layout, commit: str, uid: int | None) -> None:
    """
    Make the git directory that commands in the worktree see, on a branch at `commit`.

    It borrows the store's objects and has references, configuration and index of its own, so
    nothing done in it reaches the store. It is written file by file: from its first lease on it
    belongs to the agent, and our git must never run in it.

    Args:
        layout: the worktree, just reset to the commit.
        commit: full id.
        uid: who shall own it; None = the worker.
    """
    place = layout.private_git
    remove(place)
    for folder in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info"):
        (place / folder).mkdir(parents=True)
    place.chmod(0o700)
    (place / "HEAD").write_text(f"ref: refs/heads/{BRANCH}\n")
    (place / "refs" / "heads" / BRANCH).write_text(f"{commit}\n")
    (place / "config").write_text(_private_config(layout.path))
    (place / "objects" / "info" / "alternates").write_text(f"{layout.store / 'objects'}\n")
    for name in ("attributes", "exclude"):
        if (layout.store / "info" / name).is_file():
            shutil.copyfile(layout.store / "info" / name, place / "info" / name)
    shutil.copy2(layout.index, place / "index")
    remove(layout.gitfile)
    layout.gitfile.write_text(f"gitdir: {place}\n")
    if uid is not None:
        own(place, uid)
        os.chown(layout.gitfile, uid, uid, follow_symlinks=False)


def _private_config(worktree: Path) -> str:
    quoted = str(worktree).replace("\\", "\\\\").replace('"', '\\"')
    return (
        "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n"
        f'\tlogallrefupdates = true\n\tworktree = "{quoted}"\n'
        f"[user]\n\tname = {IDENTITY_NAME}\n\temail = {IDENTITY_EMAIL}\n"
        # Packing would copy nothing of the store, but a daemon of it may outlive the command.
        "[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n"
    )


def numbers(pool: Path, store: Path) -> Iterator[int]:
    """Yield the numbers of every worktree of which any trace is on disk."""
    for folder in (pool, pool / CONTROL_FOLDER, store / "worktrees"):
        if not folder.is_dir():
            continue
        for entry in folder.iterdir():
            digits = entry.name.split(".")[0].removeprefix("w")
            if entry.name.startswith("w") and digits.isdecimal():
                yield int(digits)
