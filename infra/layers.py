"""What setup steps installed, kept in the home: one layer for each content, shared by all.

A layer is whole or not there: it is put together beside its place and moved there when it is. Its
folders are only ever mounted for reading, or below what a command writes. The lock beside it is
held by who makes or removes it, and shared by the commands that use it.
"""

import contextlib
import errno
import fcntl
import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Final

from contracts.repository import Dependencies
from infra.dependencies import nearest, python_contents
from infra.locks import locked
from infra.ownership import run_on_tree
from infra.sandbox import PROJECT

_RECORD: Final = "layer.json"
_ANSWERS: Final = "answers"
_DRAFT: Final = ".draft-"
_TREE, _HOME = "tree", "home"
_SYSTEM = ("bin", "etc", "gnu", "lib", "lib32", "lib64", "libx32", "nix", "opt", "sbin", "usr")
_OVERLAY = ("user.overlay.", "trusted.overlay.")
_MOST_FILES = 500
_MOST_FILE_BYTES = 200_000_000


@dataclass(frozen=True)
class LayerPart:
    """A folder or a file that a setup wrote.

    Attributes:
        path: in the worktree or, where `in_home`, in HOME.
        below: the folder of the base in which it lies.
        python: it is a virtual environment.
    """

    path: str
    below: str = ""
    in_home: bool = False
    is_file: bool = False
    python: bool = False


@dataclass(frozen=True)
class Layer:
    """A layer that is whole.

    Attributes:
        name: by what it was made of.
        folder: where it lies.
        commands: what made it.
        parts: what it holds.
        bytes: on disk.
        seconds: how long the commands took.
        made, used: in seconds since the epoch: when it was made, and when a command last had it.
    """

    name: str
    folder: Path
    commands: tuple[str, ...]
    parts: tuple[LayerPart, ...]
    bytes: int
    seconds: float
    made: float
    used: float = 0.0

    def dependencies(self) -> tuple[Dependencies, ...]:
        """Return what commands find of it in their worktree and home."""
        return tuple(
            Dependencies(
                path=part.path,
                source=str(self.folder / (_HOME if part.in_home else _TREE) / part.path),
                in_home=part.in_home,
                below=part.below,
                read_only=part.python,
                contents=python_contents(self.folder / _TREE / part.path) if part.python else "",
                state=self.name,
                layer=self.name,
                is_file=part.is_file,
            )
            for part in self.parts
        )


@dataclass(frozen=True)
class Kept:
    """What was kept of what a setup wrote, and sentences about what was not."""

    layer: Layer
    notes: tuple[str, ...]


class Layers:
    """The layers of a home."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.asynccontextmanager
    async def making(self, name: str) -> AsyncIterator[None]:
        """Hold a layer against all others that would make or remove it; leftovers are removed."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with locked(self._lock(name)):
            for draft in self._folder.glob(f"{_DRAFT}{name}-*"):
                remove_tree(draft)
            yield

    def find(self, name: str) -> Layer | None:
        """Return a layer, None when it is not there."""
        try:
            record = json.loads((self._folder / name / _RECORD).read_text())
            used = (self._folder / name / _RECORD).stat().st_mtime
        except (FileNotFoundError, NotADirectoryError):
            return None
        parts = tuple(LayerPart(**each) for each in record.pop("parts"))
        commands = tuple(record.pop("commands"))
        folder = self._folder / name
        return Layer(name=name, folder=folder, parts=parts, commands=commands, used=used, **record)

    def all(self) -> list[Layer]:
        """Return every layer, the one that was used last first."""
        names = sorted(each.parent.name for each in self._folder.glob(f"[!.]*/{_RECORD}"))
        found = filter(None, map(self.find, names))
        return sorted(found, key=lambda each: each.used, reverse=True)

    def remove(self, name: str, *, unused_since: float | None = None) -> bool:
        """Remove a layer and return whether it is gone: one that a command has at hand stays.

        So does one that was used after `unused_since`, in seconds since the epoch.
        """
        with self._held(name) as held:
            if not held or self._used_after(name, unused_since):
                return False
            draft = self._folder / f"{_DRAFT}{name}-{secrets.token_hex(4)}"
            with contextlib.suppress(FileNotFoundError):
                (self._folder / name).rename(draft)
            remove_tree(draft)
            return True

    def sweep(self) -> None:
        """Remove what a killed process has left of a layer that it made or removed."""
        for draft in self._folder.glob(f"{_DRAFT}*"):
            name = draft.name.removeprefix(_DRAFT).rpartition("-")[0]
            with self._held(name) as held:
                if held:
                    remove_tree(draft)

    def note_use(self, name: str) -> None:
        """Note that a layer is used now, which keeps it for a while; one that is gone stays so."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._folder / name / _RECORD)

    @contextlib.contextmanager
    def _held(self, name: str) -> Iterator[bool]:
        """Hold a layer against all others, if nobody has it now; yield whether that is so."""
        handle = os.open(self._lock(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(handle)

    def _used_after(self, name: str, moment: float | None) -> bool:
        if moment is None:
            return False
        try:
            return (self._folder / name / _RECORD).stat().st_mtime > moment
        except FileNotFoundError:
            return False

    @contextlib.contextmanager
    def using(self, names: Iterable[str]) -> Iterator[None]:
        """Keep layers while a command has them, and note that it had them.

        Raises:
            LayerMissing: one was removed.
        """
        with contextlib.ExitStack() as stack:
            for name in sorted(set(names)):
                try:
                    handle = os.open(self._lock(name), os.O_RDONLY | os.O_CLOEXEC)
                    stack.callback(os.close, handle)
                    fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    os.utime(self._folder / name / _RECORD)
                except (BlockingIOError, FileNotFoundError) as error:
                    raise LayerMissing(
                        f"what the setup installed is not there any more ({name} in "
                        f"{self._folder}): start the request again, its setup then runs anew"
                    ) from error
            yield

    # ---- what people answered

    def answer(self, digest: str) -> bool | None:
        """Return what a person said of a setup of this content, None when nobody was asked."""
        try:
            said = json.loads((self._folder / _ANSWERS / digest).read_text())
        except FileNotFoundError:
            return None
        return bool(said["allowed"])

    def remember(self, digest: str, *, allowed: bool, by: str, commands: Sequence[str]) -> None:
        """Keep a person's answer; the last one counts."""
        folder = self._folder / _ANSWERS
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = folder / f".{digest}-{secrets.token_hex(4)}"
        said = {"allowed": allowed, "by": by, "commands": list(commands), "at": time.time()}
        draft.write_text(json.dumps(said))
        draft.replace(folder / digest)

    # ---- making one

    def keep(
        self,
        name: str,
        *,
        worktree: Path,
        home: Path,
        parts: Sequence[LayerPart],
        commands: Sequence[str],
        seconds: float,
        tools: Sequence[Path] = (),
    ) -> Kept:
        """Move what a setup wrote into a layer; the caller holds `making`.

        Args:
            name: of the layer.
            worktree: in which it ran; nothing runs there any more.
            home: the HOME in which it ran.
            parts: what of it is kept, as far as it is there.
            commands: what ran.
            seconds: how long that took.
            tools: folders of the host that commands see, to which links may lead.

        Raises:
            OSError: something cannot be moved; no layer is made then.
        """
        draft = self._folder / f"{_DRAFT}{name}-{secrets.token_hex(4)}"
        places = {False: draft / _TREE, True: draft / _HOME}
        for place in places.values():
            place.mkdir(parents=True, mode=0o755)
        kept, notes, size = list[LayerPart](), list[str](), 0
        try:
            for part in parts:
                source = (home if part.in_home else worktree) / part.path
                if problem := _why_not_kept(source, part):
                    notes += [f"{part.path} {problem}"] if problem != _NOTHING else []
                    continue
                target = places[part.in_home] / part.path
                target.parent.mkdir(parents=True, exist_ok=True)
                looked = _Look(PurePosixPath(part.path), tools)
                size += looked.through(source)
                _move(source, target)
                notes += looked.removed
                python = not part.is_file and (target / "pyvenv.cfg").is_file()
                kept.append(replace(part, python=python))
            layer = Layer(
                name=name, folder=self._folder / name, commands=tuple(commands), parts=tuple(kept),
                bytes=size, seconds=round(seconds, 1), made=time.time(),
            )  # fmt: skip
            _write_record(draft, layer)
            os.sync()  # after a power cut a layer that is there is whole
            shutil.rmtree(self._folder / name, ignore_errors=True)
            draft.rename(self._folder / name)
        except BaseException:
            remove_tree(draft)
            raise
        return Kept(layer, tuple(notes))

    def _lock(self, name: str) -> Path:
        return self._folder / f"{name}.lock"


class LayerMissing(Exception):  # noqa: N818 - named for what happened
    """A layer that commands need was removed; the text says what to do."""


def parts_of(
    untracked: Iterable[str], files: Collection[str], places: Collection[str], caches: Iterable[str]
) -> list[LayerPart]:
    """Return what of the files that a setup wrote may be kept.

    Args:
        untracked: what git ignores, a folder with a final "/", none below another.
        files: of the base.
        places: where dependencies are installed, ignored or not.
        caches: folders of a HOME that package managers fill.
    """
    known = tuple(files)
    found = {place: LayerPart(place, nearest(place, known)) for place in places}
    for path in untracked:
        name = path.rstrip("/")
        if not any(name == each or name.startswith(f"{each}/") for each in places):
            found[name] = LayerPart(name, nearest(name, known), is_file=not path.endswith("/"))
    single = [part for part in found.values() if part.is_file][:_MOST_FILES]
    folders = [part for part in found.values() if not part.is_file]
    return [*folders, *single, *(LayerPart(cache, in_home=True) for cache in caches)]


_NOTHING: Final = "is not there"


def _why_not_kept(source: Path, part: LayerPart) -> str:
    """Return why something is not kept, "" when it is."""
    try:
        if source.resolve() != source.parent.resolve() / source.name:
            return "is a link, so it is not kept"
        state = source.lstat()
    except FileNotFoundError:
        return _NOTHING
    if part.is_file:
        right = stat.S_ISREG(state.st_mode) and state.st_size <= _MOST_FILE_BYTES
        return "" if right else "is no file that can be kept"
    if not stat.S_ISDIR(state.st_mode):
        return "is no folder, so it is not kept"
    source.chmod(stat.S_IMODE(state.st_mode) | 0o700)
    return "" if any(source.iterdir()) else _NOTHING


class _Look:
    """A look through what a setup wrote: readable for every user of commands, nothing dangerous.

    Attributes:
        removed: sentences about links that led out and were removed.
    """

    def __init__(self, place: PurePosixPath, tools: Sequence[Path]) -> None:
        self._place = place
        self._tools = (*(Path("/", name) for name in _SYSTEM), *tools, PROJECT)
        self._seen = set[int]()
        self.removed: list[str] = []

    def through(self, top: Path) -> int:
        """Look through a folder, or at a file; return its bytes on disk."""
        size, waiting = self._entry(top, self._place), [(top, self._place)]
        while waiting:
            folder, place = waiting.pop()
            if folder.is_symlink() or not folder.is_dir():
                continue
            with os.scandir(folder) as entries:
                for entry in tuple(entries):
                    path, below = folder / entry.name, place / entry.name
                    size += self._entry(path, below)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((path, below))
        return size

    def _entry(self, path: Path, place: PurePosixPath) -> int:
        state = path.lstat()
        if stat.S_ISLNK(state.st_mode):
            if not self._stays_inside(str(path.readlink()), place):
                path.unlink()
                self.removed.append(f"the link {place} leads out of what may be kept: removed")
            return 0
        if not (stat.S_ISREG(state.st_mode) or stat.S_ISDIR(state.st_mode)):
            path.unlink()
            self.removed.append(f"{place} is no file: removed")
            return 0
        _open_to_all(path, state.st_mode)
        counted = state.st_ino in self._seen
        self._seen.add(state.st_ino)
        return 0 if counted else state.st_blocks * 512

    def _stays_inside(self, target: str, place: PurePosixPath) -> bool:
        """Return whether a link leads into the project, or to the machine's own tools."""
        if target.startswith("/"):
            found = Path(os.path.normpath(target))
            return any(found.is_relative_to(each) for each in self._tools)
        found = Path(os.path.normpath(place.parent / target))
        return found.parts[:1] != ("..",)


def _open_to_all(path: Path, mode: int) -> None:
    """Let every user of commands do what the owner may; what they write goes elsewhere."""
    own = mode & 0o700 | (0o700 if stat.S_ISDIR(mode) else 0o600)
    wanted = own | own >> 3 | own >> 6
    if stat.S_IMODE(mode) != wanted:
        path.chmod(wanted)
    for name in os.listxattr(path, follow_symlinks=False):
        if name.startswith(_OVERLAY):
            os.removexattr(path, name, follow_symlinks=False)


def _move(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError:  # another file system
        if source.is_dir():
            _copy(source, target)
        else:
            shutil.copy2(source, target, follow_symlinks=False)


def _copy(source: Path, target: Path) -> None:
    """Copy a folder; a full disk is told as one.

    Raises:
        OSError: it cannot be copied.
    """
    try:
        shutil.copytree(source, target, symlinks=True)
    except shutil.Error as error:
        # It has the texts of all errors, and no number.
        for number in (errno.ENOSPC, errno.EDQUOT):
            if os.strerror(number) in str(error):
                raise OSError(number, os.strerror(number), str(target)) from error
        raise


def _write_record(folder: Path, layer: Layer) -> None:
    record = asdict(layer)
    for key in ("name", "folder", "used"):
        del record[key]
    file = folder / _RECORD
    with file.open("w") as opened:
        json.dump(record, opened)
        opened.flush()
        os.fsync(opened.fileno())


def remove_tree(folder: Path) -> None:
    """Remove a folder with everything in it, whatever its permissions and depth."""
    if not folder.exists() and not folder.is_symlink():
        return
    try:
        shutil.rmtree(folder)
    except (OSError, RecursionError):
        run_on_tree("/bin/chmod", "-R", "u+rwX", "--", str(folder))
        run_on_tree("/bin/rm", "-rf", "--", str(folder))
