"""Checks of the user's repository before a request touches it, each with its own sentence.

GitPython reads the files itself: no git process runs in the user's repository, so none of its
hooks, filters or monitors does.
"""

import os
import re
import shutil
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path

import git
from git.exc import GitError, InvalidGitRepositoryError, NoSuchPathError, ODBError

from contracts.repository import Environment
from domain import branches, shell
from domain.author import author
from domain.text import clip
from infra.delivery_trial import why_not_writable

_NO_COMMIT = "0" * 40
"""What git writes where there is no commit."""
_PATTERN_BYTES = 1_000_000
_FALSE = ("false", "no", "off", "0", "")
_WARNINGS = threading.Lock()
"""Warning filters belong to the whole process: two threads would restore each other's."""


class RequestRefused(Exception):  # noqa: N818 - named for what happened
    """The request cannot be carried out; the text is one sentence that says what to change."""


@dataclass(frozen=True)
class Inspected:
    """What a request will start from.

    Attributes:
        path: the repository: its working directory, or the bare repository itself.
        git_dir: where its objects and branches are, for linked worktrees too.
        real_path: `path` without symbolic links; the store's name is made of it.
        base_name: as a person names it.
        branch: the branch that the base is of, None for a tag or commit.
        author: "Name <mail>" as the repository or its user is configured, None without a mail.
        excludes: patterns of what the person ignores, beside the .gitignore files.
    """

    path: Path
    git_dir: Path
    real_path: str
    base: str
    base_name: str
    branch: str | None = None
    author: str | None = None
    excludes: bytes = b""


def locate(path: str) -> Path:
    """Return the real path of the repository that a path lies in; the store's name is made of it.

    Raises:
        RequestRefused: there is none.
    """
    with _open(path) as repository:
        return _root(repository).resolve()


def inspect(
    path: str, *, base: str | None, branch: str, checks: tuple[str, ...], environment: Environment
) -> Inspected:
    """Return what the request will start from.

    Raises:
        RequestRefused: a condition is not met.
    """
    repository = _open(path)
    with repository:
        folder = _root(repository)
        _check_format(repository)
        oid, name = _base(repository, base)
        _check_branch(repository, branch)
        for command in checks:
            _check_command(repository, oid, command, environment)
        git_dir = Path(repository.common_dir).resolve()
        if problem := why_not_writable(git_dir):
            raise RequestRefused(f"the branch cannot be delivered: {problem}")
        return Inspected(
            path=folder,
            git_dir=git_dir,
            real_path=str(folder.resolve()),
            base=oid,
            base_name=name,
            branch=next((head.name for head in repository.heads if head.name == name), None),
            author=_author(repository),
            excludes=_excludes(repository),
        )


def _open(path: str) -> git.Repo:
    folder = Path(path)
    if not folder.is_absolute():
        raise RequestRefused(f"the repository must be an absolute path, not {path!r}")
    if not _is_folder(folder):
        raise RequestRefused(f"there is no folder {clip(path, 200)!r}: name a git repository")
    try:
        with _WARNINGS, warnings.catch_warnings():
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


def _check_command(repository: git.Repo, base: str, command: str, environment: Environment) -> None:
    word = shell.first_word(command)
    if word is None:
        return
    if word.startswith("~"):
        raise RequestRefused(
            f"the check {command!r} cannot run: checks do not see your home folder as ~, "
            "so give the whole path"
        )
    if "/" in word and not word.startswith("/"):
        problem = _problem_in_tree(repository, base, word)
    else:
        found = shutil.which(word, path=environment.path)
        problem = None if found else f"there is no {word!r} on the PATH"
    if problem:
        raise RequestRefused(f"the check {command!r} cannot run: {problem}")


def _problem_in_tree(repository: git.Repo, base: str, path: str) -> str | None:
    try:
        found = repository.commit(base).tree.join(path.removeprefix("./"))
    except (KeyError, GitError, ODBError, ValueError):
        return f"there is no {path!r} in the repository"
    if found.mode & 0o170111 in {0o100000, 0o040000}:
        return f"{path!r} in the repository is not executable"
    return None
