"""Which commands install what a project depends on, and what decides their result.

Tuned freely: what comes of it is recorded when a repository is opened.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from contracts.setup import SetupRule
from domain.dependencies import home_caches, places
from domain.text import shell_word

_FORMAT: Final = 1
"""Another number makes every result anew."""
_DIGITS: Final = 24
_VERSION_FILES: Final = (
    *(".python-version", ".nvmrc", ".node-version", ".tool-versions", "mise.toml"),
    *("rust-toolchain", "rust-toolchain.toml", ".ruby-version", ".npmrc", ".yarnrc.yml", "uv.toml"),
)
_HOME_LOCKS: Final = ("go.sum", "Cargo.lock")
_ASIDE: Final = frozenset(
    ("doc", "docs", "documentation", "website", "example", "examples", "demo", "demos", "samples")
)
"""Folders at the top that hold projects of their own, which no work on the repository needs."""
_BESIDE_NO_LOCK: Final = ("go.mod", "Cargo.toml", "pom.xml")


@dataclass(frozen=True)
class Installer:
    """How what a lock file names is installed.

    Attributes:
        lock: the file's name.
        program: must be on the PATH.
        command: run in the lock file's folder.
        folders: where one of these appears, it is installed; `~/…` is in a home.
        empty: a part of every lock file that names anything; "" = each names something.
        manifest: the name of the files that say what is wanted; "" = the lock file says it.
        relock: brings the lock file in line with them, run in its folder; "" = nothing does.
    """

    lock: str
    program: str
    command: str
    folders: tuple[str, ...]
    empty: str = ""
    manifest: str = ""
    relock: str = ""


_MODULES = ("node_modules",)
_PYTHON = (".venv", "venv")
_NPM = "npm install --package-lock-only"
_BUN = "bun install --lockfile-only"
INSTALLERS: Final = (
    Installer(
        *("package-lock.json", "npm", "npm ci", _MODULES),
        empty='"node_modules/',
        manifest="package.json",
        relock=_NPM,
    ),
    Installer(
        *("npm-shrinkwrap.json", "npm", "npm ci", _MODULES),
        empty='"node_modules/',
        manifest="package.json",
        relock=_NPM,
    ),
    Installer(
        *("pnpm-lock.yaml", "pnpm", "pnpm install --frozen-lockfile", _MODULES),
        manifest="package.json",
        relock="pnpm install --lockfile-only",
    ),
    Installer(
        *("yarn.lock", "yarn", "yarn install --frozen-lockfile", _MODULES),
        manifest="package.json",
        relock="yarn install --no-immutable",
    ),
    Installer(
        *("bun.lock", "bun", "bun install --frozen-lockfile", _MODULES),
        manifest="package.json",
        relock=_BUN,
    ),
    Installer(
        *("bun.lockb", "bun", "bun install --frozen-lockfile", _MODULES),
        manifest="package.json",
        relock=_BUN,
    ),
    Installer(
        *("uv.lock", "uv", "uv sync --frozen", _PYTHON), manifest="pyproject.toml", relock="uv lock"
    ),
    Installer(
        *("poetry.lock", "poetry", "POETRY_VIRTUALENVS_IN_PROJECT=true poetry install", _PYTHON),
        manifest="pyproject.toml",
        relock="poetry lock",
    ),
    Installer(
        *("pdm.lock", "pdm", "pdm sync", _PYTHON), manifest="pyproject.toml", relock="pdm lock"
    ),
    Installer(
        *("Pipfile.lock", "pipenv", "PIPENV_VENV_IN_PROJECT=1 pipenv sync --dev", _PYTHON),
        manifest="Pipfile",
        relock="pipenv lock",
    ),
    Installer(
        "requirements.txt",
        "python3",
        "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt",
        _PYTHON,
    ),
    Installer(
        *("composer.lock", "composer", "composer install", ("vendor",)), manifest="composer.json"
    ),
    Installer(
        "Gemfile.lock",
        "bundle",
        "bundle config set --local path vendor/bundle && bundle install",
        ("vendor/bundle",),
        manifest="Gemfile",
        relock="bundle lock",
    ),
    Installer(
        *("mix.lock", "mix", "mix deps.get", ("deps",)), manifest="mix.exs", relock="mix deps.get"
    ),
    Installer(
        *("go.sum", "go", "go mod download", ("~/go/pkg/mod", "vendor"), " "),
        manifest="go.mod",
        relock="go mod tidy",
    ),
    Installer(
        *("Cargo.lock", "cargo", "cargo fetch --locked", ("~/.cargo/registry",), "source ="),
        manifest="Cargo.toml",
        relock="cargo update --workspace",
    ),
)
"""By lock file; of several that install into the same folders the first counts."""


@dataclass(frozen=True)
class Missing:
    """A lock file whose packages are not installed.

    Attributes:
        lock: its path.
        folder: of the base, "" for the top.
    """

    lock: str
    folder: str
    installer: Installer

    @property
    def command(self) -> str:
        """Return what installs them, run at the top."""
        if not self.folder:
            return self.installer.command
        return f"(cd {shell_word(self.folder)} && {self.installer.command})"


def installers(files: Collection[str]) -> list[Missing]:
    """Return what the lock files of a project install, whether or not it is there.

    Those at the top count, and of each kind without one there those one folder below; what serves
    documentation or examples alone does not.
    """
    found = list[Missing]()
    taken = set[tuple[str, ...]]()
    below = {file.partition("/")[0] for file in files if file.count("/") == 1}
    for folders in ([""], sorted(below - _ASIDE)):
        here = set[tuple[str, ...]]()
        for folder in folders:
            done = set[tuple[str, ...]]()
            for each in INSTALLERS:
                lock = f"{folder}/{each.lock}" if folder else each.lock
                if lock in files and each.folders not in taken | done:
                    found.append(Missing(lock, folder, each))
                    done.add(each.folders)
            here |= done
        taken |= here
    return found


def missing(files: Collection[str], there: Collection[str]) -> list[Missing]:
    """Return which lock files have their packages not installed.

    Args:
        files: of the base.
        there: the folders of dependencies that are installed as the base needs them; `~/…` for
            those in a home.
    """
    present = {*there, *files}
    return [
        each
        for each in installers(files)
        if not any(
            place in present or any(file.startswith(f"{place}/") for file in files)
            for place in places_of(each)
        )
    ]


def places_of(wanted: Missing) -> list[str]:
    """Return where its packages are installed, in the repository or, with `~/`, in a home."""
    folder = f"{wanted.folder}/" if wanted.folder else ""
    return [
        name if name.startswith("~/") else f"{folder}{name}" for name in wanted.installer.folders
    ]


def names_any(installer: Installer, content: str) -> bool:
    """Return whether a lock file names any package."""
    return installer.empty in content if installer.empty else bool(content.strip())


def stated_in(files: Collection[str], commands: Sequence[str]) -> tuple[str, ...]:
    """Return the files of a base that decide what a setup of these commands comes to.

    Lock files, or manifests where there are none; what names the versions of interpreters; files
    that the commands name.
    """
    known = set(files)
    found = {file for place in places(files) for file in place.stated_in}
    found |= {file for file in _VERSION_FILES if file in known}
    for names in (_HOME_LOCKS, _BESIDE_NO_LOCK if home_caches(files) else ()):
        found |= {file for file in known if file.rpartition("/")[2] in names}
    words = {word.strip("\"'()").removeprefix("./") for line in commands for word in line.split()}
    return tuple(sorted(found | (words & known)))


def layer_name(commands: Sequence[str], stated: Mapping[str, str], host: str) -> str:
    """Return the name of what commands come to: another one for each content of what decides it.

    Args:
        commands: what installs.
        stated: object ids of the files that say what is installed, by path.
        host: names system, architecture and interpreters.
    """
    parts = [_FORMAT, list(commands), sorted(stated.items()), host]
    text = json.dumps(parts).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:_DIGITS]


def same_setup(update: str, rule: SetupRule, files: Mapping[str, str]) -> str:
    """Return the name of what calls ask for that want the same of the same files.

    Args:
        update: the command that changes lock files first.
        rule: what is installed then.
        files: object ids of all manifests and lock files, by path.
    """
    named = layer_name((update, *rule.commands), files, rule.host)
    return hashlib.sha256(named.encode()).hexdigest()


def because(wanted: Sequence[Missing], outdated: Collection[str]) -> str:
    """Return why a setup is proposed, in a sentence."""
    said = [
        f"{each.lock} is another one than in your checkout"
        if set(places_of(each)) & set(outdated)
        else f"{each.lock} is there, what it names is not installed"
        for each in wanted
    ]
    return f"{'; '.join(said)}."
