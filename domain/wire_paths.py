"""How paths of edits were judged in histories from before 2026-12: frozen, see domain/wire.py."""

import re
from collections.abc import Iterator
from itertools import pairwise

from contracts.verdicts import CallVerdict, Permission

_IGNORED = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2064\u206a-\u206f\ufeff]")
_CONTROL = frozenset({".git", "git~1", ".orchestcode"})
_FOLDERS = frozenset(
    {
        *(".vscode", ".idea", ".husky", ".cargo", ".devcontainer", ".yarn", ".mvn"),
        *(".claude", ".codex"),
    }
)
_FILES = frozenset(
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
_PAIRS = frozenset({(".config", "git"), (".github", "workflows")})
_FREE_PAIRS = frozenset({(".claude", "worktrees")})


def path_verdict(path: str) -> CallVerdict:
    """Judge the change of one path of a worktree."""
    if problem := _problem(path):
        return CallVerdict(permission=Permission.DENY, rule="path", reason=problem)
    if _protected(path):
        shown = path if len(path) <= 400 else f"{path[:400]}…"
        why = f"{shown} is read by tools outside the sandbox and can run code there"
        return CallVerdict(permission=Permission.ASK, rule="protected path", reason=why)
    return CallVerdict(rule="inside the worktree")


def _problem(path: str) -> str | None:
    if not path:
        return "The path is empty."
    if "\0" in path or not _encodable(path):
        return "The path has a character that no file name can have."
    if path.startswith(("/", "~/")) or path == "~":
        return "The path must be relative to the root of the repository."
    if ".." in path.split("/"):
        return "The path must not contain '..'."
    names = [name for name in _names(path) if name in _CONTROL]
    if names:
        return f"'{names[0]}' is not open to tools: it controls git or this system."
    return None


def _protected(path: str) -> bool:
    names = list(_names(path))
    pairs = list(pairwise(names))
    guarded = _FOLDERS | _CONTROL
    return (
        any(name in guarded and (name, after) not in _FREE_PAIRS for name, after in pairs)
        or not _PAIRS.isdisjoint(pairs)
        or any(name in guarded | _FILES for name in names[-1:])
    )


def _names(path: str) -> Iterator[str]:
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
