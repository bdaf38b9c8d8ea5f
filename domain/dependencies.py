"""Where a project's installed dependencies lie beside its files, and which files say what they are.

Git holds none of them, so a worktree has none by itself.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

INCLUDE_FILE: Final = ".worktreeinclude"
"""Names further folders and files of the checkout that worktrees have, a line each."""

PYTHON_ENVIRONMENTS: Final = (".venv", "venv")
"""Where a project keeps a virtual environment of its own; the first that is there counts."""

_MOST_PLACES: Final = 500
_HOME_CACHES: Final = (
    ("go.mod", ("go/pkg/mod",)),
    ("Cargo.toml", (".cargo/registry", ".cargo/git")),
    ("pom.xml", (".m2/repository",)),
)
"""Where package managers keep what they fetched, below HOME, by the manifest of a project."""
_BUILD_CACHES: Final = (("go.mod", (".cache/go-build",)),)
"""The same of what compilers keep. That of a person holds what they have built of all projects, so
commands find only what a setup has left there.
"""


@dataclass(frozen=True)
class _Kind:
    folders: tuple[str, ...]
    manifests: tuple[str, ...]
    locks: tuple[str, ...]


_KINDS: Final = (
    _Kind(
        ("node_modules",),
        ("package.json",),
        (
            *("package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml"),
            *("bun.lock", "bun.lockb"),
        ),
    ),
    _Kind(
        PYTHON_ENVIRONMENTS,
        ("pyproject.toml", "setup.py", "setup.cfg", "requirements.txt", "Pipfile"),
        ("uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock"),
    ),
    _Kind(("vendor",), ("composer.json",), ("composer.lock",)),
    _Kind(("vendor/bundle",), ("Gemfile",), ("Gemfile.lock",)),
    _Kind(("deps",), ("mix.exs",), ("mix.lock",)),
)


@dataclass(frozen=True)
class Place:
    """Where installed dependencies may lie.

    Attributes:
        path: in the repository.
        below: the folder of the base in which it lies, "" for the top.
        stated_in: the files of the base that say what is installed there: lock files of the folder
            or of the nearest one above that has any, else what the project says of itself.
        python: it is a virtual environment.
    """

    path: str
    below: str = ""
    stated_in: tuple[str, ...] = ()
    python: bool = False


def places(files: Collection[str]) -> list[Place]:
    """Return where a project with these files may have installed what it depends on.

    A place at or below which the project has files of its own is none.
    """
    known = set(files)
    taken = {str(parent) for file in files for parent in PurePosixPath(file).parents} | known
    found = dict[str, Place]()
    for kind in _KINDS:
        for folder in _folders_of(kind, files):
            stated = _stated_in(kind, folder, known)
            for name in kind.folders:
                path = _joined(folder, name)
                if path not in taken:
                    found[path] = Place(path, folder, stated, python=name in PYTHON_ENVIRONMENTS)
    return [found[path] for path in sorted(found)][:_MOST_PLACES]


def home_caches(files: Iterable[str]) -> list[Place]:
    """Return where in a home the packages of a project with these files may lie."""
    return _in_home(_HOME_CACHES, files)


def build_caches(files: Iterable[str]) -> list[Place]:
    """Return where in its home a setup of a project with these files may have built something."""
    return _in_home(_BUILD_CACHES, files)


def _in_home(caches: Sequence[tuple[str, tuple[str, ...]]], files: Iterable[str]) -> list[Place]:
    names = {file.rpartition("/")[2] for file in files}
    found = (paths for manifest, paths in caches if manifest in names)
    return [Place(path) for paths in found for path in paths]


def _folders_of(kind: _Kind, files: Iterable[str]) -> list[str]:
    """Return the folders with a manifest of a kind, "" for the top; the top always has Python's."""
    found = {
        parent for parent, _, name in (f.rpartition("/") for f in files) if name in kind.manifests
    }
    return sorted(found | ({""} if kind.folders == PYTHON_ENVIRONMENTS else set()))


def _stated_in(kind: _Kind, folder: str, known: Collection[str]) -> tuple[str, ...]:
    above = [folder, *("" if str(p) == "." else str(p) for p in PurePosixPath(folder).parents)]
    for place in above:
        if locks := tuple(f for n in kind.locks if (f := _joined(place, n)) in known):
            return locks
    return tuple(f for name in kind.manifests if (f := _joined(folder, name)) in known)


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def may_be_installed(path: str) -> bool:
    """Return whether a path leads into a folder where dependencies are installed."""
    names = [folder for kind in _KINDS for folder in kind.folders]
    return any(f"/{name}/" in f"/{path}" for name in names)


def included(text: str) -> tuple[list[str], list[str]]:
    """Return the patterns of an include file, and the lines that are not understood.

    A pattern names folders and files from the top of the repository; `*` stands for any part of a
    name.
    """
    patterns, refused = list[str](), list[str]()
    for line in text.splitlines():
        pattern = line.strip().strip("/")
        if not pattern or pattern.startswith("#"):
            continue
        parts = pattern.split("/")
        bad = pattern.startswith("!") or not {"..", ".", "", "**", ".git"}.isdisjoint(parts)
        (refused if bad else patterns).append(pattern)
    return patterns, refused
