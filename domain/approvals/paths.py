"""Which paths an agent may name, and which of them a person is asked about first.

Looks at the text of a path only. That a path does not leave the worktree through a symbolic
link is checked where files are opened.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from contracts.verdicts import CallVerdict, Permission

# File systems of other platforms ignore these characters in names, so git refuses them too.
_IGNORED = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u206a-\u206f\ufeff]")


@dataclass(frozen=True)
class PathNames:
    """The names that matter in a path, in lower case.

    Attributes:
        control: folders that control git or this system: refused.
        folders, files: a person is asked before they change.
        pairs: the same for a folder within a folder.
        free_pairs: exceptions of `folders`.
    """

    control: frozenset[str]
    folders: frozenset[str]
    files: frozenset[str]
    pairs: frozenset[tuple[str, str]]
    free_pairs: frozenset[tuple[str, str]]


NAMES = PathNames(
    control=frozenset({".git", "git~1", ".orchestcode"}),
    folders=frozenset(
        {
            *(".vscode", ".idea", ".husky", ".cargo", ".devcontainer", ".yarn", ".mvn"),
            *(".claude", ".codex"),
        }
    ),
    files=frozenset(
        {
            *(".gitconfig", ".gitmodules", ".gitattributes", ".bashrc", ".bash_profile"),
            *(".bash_login", ".bash_aliases", ".bash_logout", ".zshrc", ".zprofile", ".zshenv"),
            *(".zlogin", ".zlogout", ".profile", ".envrc"),
            *(".npmrc", ".yarnrc", ".yarnrc.yml", ".pnp.cjs", ".pnp.loader.mjs", ".pnpmfile.cjs"),
            *("bunfig.toml", ".bunfig.toml", ".bazelrc", ".bazelversion", ".bazeliskrc"),
            *("gradle-wrapper.properties", "maven-wrapper.properties"),
            *(".pre-commit-config.yaml", "lefthook.yml", "lefthook.yaml", ".lefthook.yml"),
            *(".lefthook.yaml", ".devcontainer.json", ".ripgreprc", "pyrightconfig.json"),
            *(".mcp.json", ".claude.json"),
        }
    ),
    pairs=frozenset({(".config", "git"), (".github", "workflows")}),
    free_pairs=frozenset({(".claude", "worktrees")}),
)


def path_problem(path: str, known: PathNames | None = None) -> str | None:
    """Return why an agent may not name this path, in a sentence for the agent; None: it may.

    Refused are empty and absolute paths, `..`, characters that no file name has, and at any
    depth the folders that control git and this system.
    """
    if not path:
        return "The path is empty."
    if "\0" in path or not _encodable(path):
        return "The path has a character that no file name can have."
    if path.startswith(("/", "~/")) or path == "~":
        return "The path must be relative to the root of the repository."
    if ".." in path.split("/"):
        return "The path must not contain '..'."
    known = known or NAMES
    names = [name for name in _names(path) if name in known.control]
    if names:
        return f"'{names[0]}' is not open to tools: it controls git or this system."
    return None


def protected(path: str, known: PathNames | None = None) -> bool:
    """Return whether a change of this path can later run code outside the sandbox.

    Compared without case, at any depth. True as well for what `path_problem` refuses by name.
    """
    known = known or NAMES
    names = list(_names(path))
    pairs = list(pairwise(names))
    guarded = known.folders | known.control
    return (
        any(name in guarded and (name, after) not in known.free_pairs for name, after in pairs)
        or not known.pairs.isdisjoint(pairs)
        or any(name in guarded | known.files for name in names[-1:])
    )


def path_verdict(path: str, known: PathNames | None = None) -> CallVerdict:
    """Judge the change of one path of a worktree."""
    if problem := path_problem(path, known):
        return CallVerdict(permission=Permission.DENY, rule="path", reason=problem)
    if protected(path, known):
        shown = path if len(path) <= 400 else f"{path[:400]}…"
        why = f"{shown} is read by tools outside the sandbox and can run code there"
        return CallVerdict(permission=Permission.ASK, rule="protected path", reason=why)
    return CallVerdict(rule="inside the worktree")


def _names(path: str) -> Iterator[str]:
    """Yield the parts of the path as the most forgiving file system would read them."""
    for part in path.split("/"):
        name = _IGNORED.sub("", part).split(":")[0].rstrip(" .").casefold()
        if name:
            yield name


def _encodable(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
