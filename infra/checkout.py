"""A look at a checkout and the settings file in it: nothing is run, no link is followed."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from contracts.settings_file import SETTINGS_FILE
from domain.dependencies import places
from domain.project.facts import CI_FOLDER, READ, Facts
from domain.settings_json import MOST_BYTES
from infra.dependencies import contents
from infra.files.confined_files import ConfinedFiles
from infra.files.confined_root import ConfinementUnavailableError, PathRefused
from infra.python_environment import own_environment

_LIMIT_BYTES: Final = 1_000_000
_MOST_ENTRIES: Final = 5_000
_MOST_FOLDERS: Final = 200
_MOST_CI_FILES: Final = 20


class SettingsUnreachable(Exception):  # noqa: N818 - named for what happened
    """The settings file cannot be read or written; the text says why, in a sentence."""


def look(checkout: Path) -> Facts:
    """Return what lies at the top of a checkout and in the folders there.

    What is behind a link, no regular file, too large or closed to the caller is named among the
    problems, and is otherwise not there.
    """
    found = _Look(checkout)
    with _files(checkout) as files:
        found.names(files)
        found.read(files)
    environment = own_environment(checkout)
    name = environment.name if environment and not environment.is_symlink() else ""
    return Facts(
        files=frozenset(found.paths),
        texts=found.texts,
        environment=name,
        installed=tuple(_installed(checkout, found.paths)),
        problems=tuple(found.problems),
    )


def read_settings(checkout: Path) -> bytes:
    """Return the settings file of a checkout, empty when there is none."""
    try:
        with _files(checkout) as files:
            state = files.read(SETTINGS_FILE, limit_bytes=MOST_BYTES)
    except PathRefused as refused:
        raise SettingsUnreachable(f"{refused} Move it away, then try again.") from refused
    return state.data if state else b""


def write_settings(checkout: Path, content: bytes) -> None:
    """Replace the settings file of a checkout at once; its folder is made where it is missing."""
    try:
        with _files(checkout) as files:
            files.write(SETTINGS_FILE, content)
    except PathRefused as refused:
        raise SettingsUnreachable(f"{refused} Nothing was written.") from refused
    except OSError as error:
        raise SettingsUnreachable(
            f"{SETTINGS_FILE} cannot be written: {error.strerror}. Nothing was written."
        ) from error


def _files(checkout: Path) -> ConfinedFiles:
    try:
        return ConfinedFiles(checkout, of_tools=False)
    except (ConfinementUnavailableError, OSError) as error:
        raise SettingsUnreachable(f"{checkout} cannot be looked at: {error}") from error


class _Look:
    """What was found so far."""

    def __init__(self, checkout: Path) -> None:
        self._checkout = checkout
        self.paths: set[str] = set()
        self.texts: dict[str, str] = {}
        self.problems: list[str] = []

    def names(self, files: ConfinedFiles) -> None:
        """List the top, and the folders there but for hidden and installed ones."""
        folders = self._regular(files, ".")
        for folder in [each for each in folders if not each.startswith(".")][:_MOST_FOLDERS]:
            if folder not in ("node_modules", "vendor", "venv", "target", "build", "dist"):
                self._regular(files, folder)
        self._regular(files, CI_FOLDER)

    def read(self, files: ConfinedFiles) -> None:
        """Read the files whose text says something."""
        ci = sorted(path for path in self.paths if path.startswith(f"{CI_FOLDER}/"))
        for name in (*READ, *ci[:_MOST_CI_FILES]):
            if name not in self.paths:
                continue
            try:
                state = files.read(name, limit_bytes=_LIMIT_BYTES)
            except PathRefused as refused:
                self.problems.append(str(refused))
                continue
            if state:
                self.texts[name] = state.data.decode("utf-8", "replace")

    def _regular(self, files: ConfinedFiles, folder: str) -> list[str]:
        """Add the regular files of a folder, and return the names of its folders."""
        try:
            handle = files.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except PathRefused:
            return []
        if handle is None:
            return []
        try:
            return self._entries(handle, folder)
        finally:
            os.close(handle)

    def _entries(self, handle: int, folder: str) -> list[str]:
        folders: list[str] = []
        with os.scandir(handle) as entries:
            for number, entry in enumerate(entries):
                if number == _MOST_ENTRIES:
                    break
                path = entry.name if folder == "." else f"{folder}/{entry.name}"
                if entry.is_file(follow_symlinks=False):
                    self.paths.add(path)
                elif entry.is_dir(follow_symlinks=False):
                    folders.append(entry.name)
                elif path in READ:
                    kind = "a link" if entry.is_symlink() else "no regular file"
                    self.problems.append(f"{path} is {kind}, so it was not read.")
        return sorted(folders)


def _installed(checkout: Path, paths: set[str]) -> Iterator[tuple[str, str]]:
    for place in places(sorted(paths)):
        what = contents(checkout, place)
        if what is not None:
            yield place.path, what
