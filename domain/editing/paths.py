"""
Which paths an agent may name, and which of them a person is asked about first.

Looks at the text of a path only. That a path does not leave the worktree through a symbolic
link is for the file system's own door to say.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

_CONTROL_FOLDERS = frozenset({".git", "git~1", ".orchestcode"})
# File systems of other platforms ignore these characters in names, so git refuses them too.
_IGNORED = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u206a-\u206f\ufeff]")

_PROTECTED_FOLDERS = frozenset(
    {".vscode", ".idea", ".husky", ".cargo", ".devcontainer", ".yarn", ".mvn", ".claude", ".codex"}
)
_PROTECTED_PAIRS = frozenset({(".config", "git"), (".github", "workflows")})
_FREE_PAIRS = frozenset({(".claude", "worktrees")})
_PROTECTED_FILES = frozenset(
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
)


def path_problem(path: str) -> str | None:
    """
    Return why an agent may not name this path, in a sentence for the agent; None: it may.

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
    names = [name for name in _names(path) if name in _CONTROL_FOLDERS]
    if names:
        return f"'{names[0]}' is not open to tools: it controls git or this system."
    return None


def protected(path: str) -> bool:
    """
    Whether a change of this path can run code later, outside the sandbox, so a person decides.

    Compared without case, at any depth. True as well for what `path_problem` refuses by name.
    """
    names = list(_names(path))
    pairs = list(pairwise(names))
    last = names[-1:]
    guarded = _PROTECTED_FOLDERS | _CONTROL_FOLDERS
    return (
        any(name in guarded and (name, after) not in _FREE_PAIRS for name, after in pairs)
        or not _PROTECTED_PAIRS.isdisjoint(pairs)
        or any(name in guarded | _PROTECTED_FILES for name in last)
    )


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
