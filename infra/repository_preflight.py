"""Checks of the user's repository before a request touches it, each with its own sentence.

GitPython reads the files itself: no git process runs in the user's repository, so none of its
hooks, filters or monitors does. What it opens may be anything, so this runs as a process of its
own, which `infra.repository_look` starts and ends; it imports little, to start quickly.
"""

import dataclasses
import json
import os
import re
import shutil
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import git
from git.exc import GitError, InvalidGitRepositoryError, NoSuchPathError, ODBError

from contracts.settings_file import SETTINGS_FILE
from domain import branches, shell
from domain import setup as setups
from domain.author import author
from domain.dependencies import may_be_installed, places
from domain.repository_settings import RepositorySettings, parsed
from domain.settings_json import MOST_BYTES, SettingsProblem
from domain.text import clip
from infra.interpreters import FILES, interpreters
from infra.python_environment import own_environment
from infra.repository_look import Asked, Inspected, RequestRefused
from infra.writable import why_not_writable

_NO_COMMIT = "0" * 40
"""What git writes where there is no commit."""
_PATTERN_BYTES = 1_000_000
_DEEPEST = 5
"""How far git follows borrowed objects."""
_SYSTEM = frozenset({"bin", "boot", "dev", "etc", "lib", "lib64", "proc", "sbin", "sys", "usr"})
_FILE_MODES = (0o100644, 0o100664, 0o100755)
_FALSE = ("false", "no", "off", "0", "")


def main() -> None:
    """Answer what is asked on stdin: where the repository is, then what a request starts from.

    A line of JSON each; the second only where a branch is asked for.
    """
    asked = Asked(**json.load(sys.stdin))
    try:
        with _open(asked.path) as repository:
            root = _root(repository)
            _answer({"root": str(root.resolve())})
            if asked.branch is not None:
                found = inspect(repository, asked)
                _answer({"found": dataclasses.asdict(found)})
    except RequestRefused as refused:
        _answer({"refused": str(refused)})


def _answer(value: dict[str, object]) -> None:
    # Lone surrogates, which stand for bytes of names, survive as escapes.
    sys.stdout.write(f"{json.dumps(value)}\n")
    sys.stdout.flush()


def inspect(repository: git.Repo, asked: Asked) -> Inspected:
    """Return what the request will start from.

    Raises:
        RequestRefused: a condition is not met.
    """
    branch = str(asked.branch)
    folder = _root(repository)
    _check_owner(repository, folder)
    _check_files(Path(repository.common_dir))
    _check_format(repository)
    oid, name = _base(repository, asked.base)
    _check_branch(repository, branch)
    used = interpreters(
        folder,
        _texts(repository, oid),
        own=_own_environment(repository, oid),
        active=asked.virtual_env,
        search_path=asked.search_path,
        environ=os.environ,
    )
    own = used.environment
    first = [*([str(own / "bin")] if own else []), *used.folders]
    search_path = os.pathsep.join([*first, asked.search_path])
    settings = _settings(repository, oid)
    setup = asked.setup if asked.setup is not None else settings.setup if settings else ()
    look_up = _LookUp(
        repository, oid, search_path, prepared=bool(setup), detects=asked.setup is None
    )
    for command in (*asked.checks, *([asked.until] if asked.until else [])):
        look_up.check(command)
    if settings and not asked.checks:
        _check_settings(look_up, settings)
    git_dir = Path(repository.common_dir).resolve()
    if problem := why_not_writable(git_dir):
        raise RequestRefused(f"the branch cannot be delivered: {problem}")
    return Inspected(
        path=str(folder),
        git_dir=str(git_dir),
        real_path=str(folder.resolve()),
        base=oid,
        base_name=name,
        branch=next((head.name for head in repository.heads if head.name == name), None),
        author=_author(repository),
        excludes=_excludes(repository).decode("latin-1"),
        private=tuple(sorted(filter(_is_text, map(str, _private(git_dir, folder.resolve()))))),
        own_environment=str(own) if own else None,
        settings=settings,
        tool_folders=used.folders,
        notes=used.notes,
    )


def _private(git_dir: Path, folder: Path) -> set[Path]:
    """Return where the repository keeps files and objects beside its folder.

    A worktree of it among the system's folders is left out: commands need what lies there.
    """
    links = sorted((git_dir / "worktrees").glob("*/gitdir"))
    places = [Path(link.read_text().strip()).parent for link in links if link.is_file()]
    if git_dir.name == ".git":
        places.append(git_dir.parent)
    worktrees = {place.resolve() for place in places if place.is_absolute() and place.is_dir()}
    apart = {place for place in worktrees if place.parts[1:2] and place.parts[1] not in _SYSTEM}
    found = apart | {git_dir} | set(_borrowed(git_dir / "objects", _DEEPEST))
    return found - {folder, Path("/")}


def _is_text(path: str) -> bool:
    """Return whether a path can be recorded: not with bytes that are no UTF-8."""
    return path.encode("utf-8", "ignore").decode() == path


def _borrowed(objects: Path, depth: int) -> Iterator[Path]:
    """Yield the object folders from which one borrows, and those from which they do."""
    file = objects / "info" / "alternates"
    if depth == 0 or not file.is_file():
        return
    for line in file.read_text(errors="surrogateescape").splitlines():
        place = (objects / line).resolve()
        if line and not line.startswith("#") and place.is_dir():
            yield place
            yield from _borrowed(place, depth - 1)


def _check_owner(repository: git.Repo, folder: Path) -> None:
    """Refuse what git refuses: another user's files may be changed by that user meanwhile."""
    places = (folder, folder / ".git", Path(repository.git_dir), Path(repository.common_dir))
    if any(place.exists() and place.stat().st_uid != os.geteuid() for place in places):
        raise RequestRefused(
            f"the repository {str(folder)!r} belongs to another user: run the worker as its owner"
        )


def _open(path: str) -> git.Repo:
    folder = Path(path)
    if not folder.is_absolute():
        raise RequestRefused(f"the repository must be an absolute path, not {path!r}")
    if not _is_folder(folder):
        raise RequestRefused(f"there is no folder {clip(path, 200)!r}: name a git repository")
    try:
        with warnings.catch_warnings():
            # GitDB is slower than git and trusts what it reads: the user's own files, once a run.
            warnings.simplefilter("ignore", DeprecationWarning)
            return git.Repo(
                folder,
                # Reads the files itself; the default asks a git process of the repository's.
                odbt=git.GitDB,
                search_parent_directories=True,
                # A dollar sign in a path is only a character.
                expand_vars=False,
            )
    except (InvalidGitRepositoryError, NoSuchPathError) as error:
        raise RequestRefused(
            f"{path!r} is not a git repository: run `git init` and commit there first"
        ) from error
    except (GitError, ODBError, OSError, ValueError) as error:
        raise RequestRefused(f"the repository {path!r} cannot be read: {error}") from error


def _root(repository: git.Repo) -> Path:
    return Path(repository.working_tree_dir or repository.git_dir)


def _check_files(git_dir: Path) -> None:
    """Refuse what git would open and never return from."""
    places = [git_dir / name for name in ("HEAD", "config", "packed-refs", "shallow")]
    for folder, _, names in os.walk(git_dir / "refs"):
        places += (Path(folder) / name for name in names)
    for place in places:
        if place.exists() and not (place.is_file() or place.is_dir()):
            raise RequestRefused(f"the repository cannot be read: {place} in it is no file")


def _is_folder(folder: Path) -> bool:
    try:
        return folder.is_dir()
    except OSError:  # a name that is too long, a folder that may not be entered
        return False


def _check_format(repository: git.Repo) -> None:
    with repository.config_reader("repository") as config:
        name = str(config.get_value("extensions", "objectformat", "sha1"))
        references = str(config.get_value("extensions", "refstorage", "files"))
        promised = next(filter(None, (_promisor(config, each) for each in config.sections())), None)
    if references.lower() != "files":
        raise RequestRefused(
            f"the repository keeps its references as {references}, which is not supported: run "
            "`git refs migrate --ref-format=files` in it"
        )
    if promised:
        raise RequestRefused(
            f"the repository is a partial clone ({promised}): what it lacks cannot be fetched from "
            "here; make a whole clone, without --filter, and name that with --repo"
        )
    if name.lower() != "sha1":
        raise RequestRefused(
            f"the repository uses object format {name}; only sha1 repositories are supported"
        )


def _promisor(config: git.config.GitConfigParser, section: str) -> str | None:
    """Return the key by which a section of the configuration says that objects are missing."""
    if section.lower() == "extensions" and config.has_option(section, "partialclone"):
        return "extensions.partialClone"
    remote = re.fullmatch(r'remote "(.*)"', section)
    if remote is None:
        return None
    if config.has_option(section, "partialclonefilter"):
        return f"remote.{remote[1]}.partialCloneFilter"
    promisor = str(config.get_value(section, "promisor", "false")).lower()
    return None if promisor in _FALSE else f"remote.{remote[1]}.promisor"


def _base(repository: git.Repo, base: str | None) -> tuple[str, str]:
    try:
        if base is None:
            commit = repository.head.commit
            detached = repository.head.is_detached
            return commit.hexsha, commit.hexsha[:12] if detached else repository.head.ref.name
        if base.startswith("-") or base == _NO_COMMIT:
            raise RequestRefused(f"{base!r} is not a branch, tag or commit")
        heads = {head.name: head for head in repository.heads}
        commit = heads[base].commit if base in heads else repository.commit(base)
    except (GitError, ODBError, ValueError, OSError, IndexError) as error:
        if base is None:
            raise RequestRefused(_no_head(repository)) from error
        raise RequestRefused(
            f"there is no branch, tag or commit {base!r} in the repository"
        ) from error
    return commit.hexsha, base


def _no_head(repository: git.Repo) -> str:
    try:
        found = git.SymbolicReference.dereference_recursive(repository, repository.head.path)
    except (GitError, ValueError, OSError):
        return "the repository has no commit yet: commit something, so that there is a base"
    return f"the commit {found} that HEAD names cannot be read: see what `git fsck` says"


def _author(repository: git.Repo) -> str | None:
    """Return who commits in this repository, by its own configuration or the user's."""
    with repository.config_reader() as config:
        name, email = (str(config.get_value("user", key, "")) for key in ("name", "email"))
    return author(name, email)


def _excludes(repository: git.Repo) -> bytes:
    """Return what the person ignores everywhere, then what this repository ignores by itself."""
    with repository.config_reader() as config:
        named = str(config.get_value("core", "excludesfile", ""))
    own = Path(named or f"{os.environ.get('XDG_CONFIG_HOME') or '~/.config'}/git/ignore")
    files = (own, Path(repository.common_dir) / "info" / "exclude")
    return b"".join(b"%s\n" % text.rstrip(b"\n") for text in map(_patterns, files) if text)


def _patterns(file: Path) -> bytes:
    try:
        file = file.expanduser()
        readable = file.is_absolute() and file.is_file() and file.stat().st_size < _PATTERN_BYTES
        return file.read_bytes() if readable else b""
    except (OSError, RuntimeError):  # closed to the worker; a home that nobody has
        return b""


def _check_branch(repository: git.Repo, branch: str) -> None:
    problem = branches.problem(branch)
    if problem:
        raise RequestRefused(f"{branch!r} cannot be a branch: {problem}")
    for head in repository.heads:
        if head.name == branch:
            raise RequestRefused(
                f"the branch {branch!r} exists already: name another with --branch, or delete it"
            )
        if head.name.startswith(f"{branch}/") or branch.startswith(f"{head.name}/"):
            raise RequestRefused(
                f"the branch {branch!r} cannot be made beside the branch {head.name!r}: "
                "name another with --branch"
            )
    # A branch without a commit, as `git checkout --orphan` makes it, is no head yet.
    if not repository.head.is_detached and repository.head.ref.name == branch:
        raise RequestRefused(f"the branch {branch!r} is checked out: name another with --branch")


@dataclass(frozen=True)
class _LookUp:
    """Where the programs of checks are looked up.

    Attributes:
        prepared: a setup runs first, and what it installs cannot be known yet.
        detects: where nobody named one, that of the lock files is proposed.
    """

    repository: git.Repo
    base: str
    search_path: str
    prepared: bool
    detects: bool

    def check(self, command: str) -> None:
        """Refuse a command that cannot run.

        Raises:
            RequestRefused: it cannot.
        """
        word = shell.first_word(command)
        if word is None:
            return
        if word.startswith("~"):
            problem: str | None = "checks do not see your home folder as ~, so give the whole path"
        else:
            problem = None if self.prepared else self._problem(word)
        if problem:
            raise RequestRefused(f"the check {command!r} cannot run: {problem}")

    def _problem(self, word: str) -> str | None:
        if "/" not in word or word.startswith("/"):
            found = shutil.which(word, path=self.search_path)
            return None if found else f"there is no {word!r} on the PATH"
        if may_be_installed(word) and os.access(_root(self.repository) / word, os.X_OK):
            return None
        problem = _problem_in_tree(self.repository, self.base, word)
        return None if problem and self._will_be_installed(word) else problem

    def _will_be_installed(self, path: str) -> bool:
        """Return whether a setup that lock files ask for makes the folder that a path leads into.

        A person still has to allow it.
        """
        if not (self.detects and may_be_installed(path)):
            return False
        # Takes long to import, and is needed here alone.
        from infra.dependencies import installed  # noqa: PLC0415

        files = _upper_files(self.repository, self.base)
        found = installed(_root(self.repository), places(tuple(files)), files)
        there = {each.path for each in found if not each.outdated_by}
        return any(
            path.removeprefix("./").startswith(f"{folder}/")
            for each in setups.missing(tuple(files), there)
            if shutil.which(each.installer.program, path=self.search_path)
            for folder in setups.places_of(each)
            if setups.names_any(each.installer, _text(self.repository, files[each.lock]))
        )


def _upper_files(repository: git.Repo, base: str) -> dict[str, str]:
    """Return the object ids of the base's files at the top and one folder below."""
    top = repository.commit(base).tree
    trees = (top, *(entry for entry in top if isinstance(entry, git.Tree)))
    return {
        str(entry.path): entry.hexsha
        for tree in trees
        for entry in tree
        if isinstance(entry, git.Blob)
    }


def _text(repository: git.Repo, oid: str) -> str:
    stream = repository.odb.stream(bytes.fromhex(oid))
    return bytes(stream.read()).decode("utf-8", "replace")


def _texts(repository: git.Repo, base: str) -> dict[str, str]:
    """Return the text of the base's files that say which interpreter is wanted."""
    try:
        return {
            str(entry.path): entry.data_stream.read(_PATTERN_BYTES).decode("utf-8", "replace")
            for entry in repository.commit(base).tree
            if entry.path in FILES and isinstance(entry, git.Blob) and entry.mode in _FILE_MODES
        }
    except (GitError, ODBError, ValueError, OSError):
        return {}


def _settings(repository: git.Repo, base: str) -> RepositorySettings | None:
    """Return what the base's settings file says; the checkout's own may be half written."""
    try:
        return _parsed_settings(repository.commit(base).tree)
    except SettingsProblem as problem:
        raise RequestRefused(
            f"{SETTINGS_FILE} of the base {problem}: commit one that is right, or none"
        ) from problem
    except (GitError, ODBError, ValueError, OSError) as error:
        raise RequestRefused(f"{SETTINGS_FILE} of the base cannot be read: {error}") from error


def _parsed_settings(top: git.Tree) -> RepositorySettings | None:
    folder = SETTINGS_FILE.partition("/")[0]
    entry = _entry(top, folder)
    if isinstance(entry, git.Tree):
        entry = _entry(entry, SETTINGS_FILE)
    elif entry is not None:
        raise SettingsProblem(f"is no file, because {folder} is no folder")
    if entry is None:
        return None
    if not isinstance(entry, git.Blob) or entry.mode not in _FILE_MODES:
        raise SettingsProblem("is no file")
    content: bytes = entry.data_stream.read(MOST_BYTES + 1)
    return parsed(content)


def _entry(tree: git.Tree, path: str) -> object:
    # By its path: a submodule has no name.
    return next((entry for entry in tree if entry.path == path), None)


def _check_settings(look_up: _LookUp, settings: RepositorySettings) -> None:
    for command in settings.checks:
        try:
            look_up.check(command)
        except RequestRefused as refused:
            raise RequestRefused(f"{SETTINGS_FILE} of the base: {refused}") from refused


def _own_environment(repository: git.Repo, base: str) -> Path | None:
    """Return the person's virtual environment in the repository.

    One that was committed is none: what its files lead to would be shown to commands.
    """
    folder = own_environment(_root(repository))
    if folder is None:
        return None
    committed = (_is_committed(repository, commit, folder.name) for commit in (base, "HEAD"))
    return None if any(committed) else folder


def _is_committed(repository: git.Repo, commit: str, name: str) -> bool:
    try:
        repository.commit(commit).tree.join(name)
    except KeyError:
        return False
    except (GitError, ODBError, ValueError):  # a HEAD that names no commit
        return commit != "HEAD"
    return True


def _problem_in_tree(repository: git.Repo, base: str, path: str) -> str | None:
    try:
        found = repository.commit(base).tree.join(path.removeprefix("./"))
    except (KeyError, GitError, ODBError, ValueError):
        return f"there is no {path!r} in the repository"
    if found.mode & 0o170111 in {0o100000, 0o040000}:
        return f"{path!r} in the repository is not executable"
    return None


if __name__ == "__main__":
    main()
