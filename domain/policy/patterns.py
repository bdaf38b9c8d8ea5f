"""Patterns of rules: globs over command lines and values, gitignore patterns over paths."""

import posixpath
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import pathspec

from contracts.permissions import Scope
from contracts.verdicts import Permission
from domain.policy.shell_split import OPAQUE
from domain.settings_json import SettingsProblem, quoted

_ONE_FOLDER = re.compile(r"[^/*?\[\\]+/(?:\*\*)?")
_WILD = re.compile(r"[*?\[\\]")
_EVERYTHING_BELOW: Final = re.compile(r"/\*\*/?$|/$")


@dataclass(frozen=True)
class Glob:
    """A text in which `*` stands for anything; ` *` at the end is a whole word or nothing.

    `git push *` and `git push:*` match `git push` and `git push origin`, not `git pushed`.
    """

    text: str

    @cached_property
    def _pieces(self) -> tuple[str, ...]:
        return tuple(self._plain.split("*"))

    @cached_property
    def _plain(self) -> str:
        return f"{self.text[:-2]} *" if self.text.endswith(":*") else self.text

    def matches(self, text: str) -> bool:
        """Return whether the whole text matches; takes time linear in its length."""
        if self._plain.endswith(" *") and text == self._plain[:-2]:
            return True
        first, *rest = self._pieces
        if not rest:
            return text == first
        if not text.startswith(first):
            return False
        at = len(first)
        for piece in rest[:-1]:
            found = text.find(piece, at)
            if found < 0:
                return False
            at = found + len(piece)
        return len(text) - at >= len(rest[-1]) and text.endswith(rest[-1])

    def may_match(self, text: str) -> bool:
        """Return whether a text matches for some filling of what is opaque in it.

        Errs on the side of yes: only what stands before the first opaque part and the first `*`
        is compared.
        """
        if OPAQUE not in text:
            return self.matches(text)
        known, start = text.partition(OPAQUE)[0], self._pieces[0]
        if self._plain.endswith(" *") and len(self._pieces) == 2:
            start = start.rstrip(" ")
        return known.startswith(start) or start.startswith(known)


@dataclass(frozen=True)
class PathPattern:
    """A gitignore pattern: of paths in the worktree, or of absolute ones.

    Attributes:
        literal: the path itself, where the pattern is absolute and holds no wildcard.
    """

    text: str
    absolute: bool
    literal: str = ""

    @cached_property
    def _compiled(self) -> pathspec.GitIgnoreSpec:
        return pathspec.GitIgnoreSpec.from_lines([self.text])

    def matches(self, names: Iterable[str]) -> bool:
        """Return whether one of a file's names matches: relative to the worktree, or absolute."""
        return any(
            self._compiled.match_file(name.lstrip("/"))
            for name in names
            if name and name.startswith("/") is self.absolute
        )


def path_pattern(
    spec: str, permission: Permission, scope: Scope, *, user_folder: str, home: str
) -> PathPattern:
    """Return the pattern of a rule about paths, by its anchor.

    `//x` is absolute, `~/x` below the home, `/x` beside the settings file (in a repository: at
    its top), `./x` at the top of the repository, `x` as in a .gitignore there.

    Raises:
        SettingsProblem: it is no pattern.
    """
    if spec.startswith("!"):
        raise SettingsProblem(f"has the path rule {quoted(spec)}: one cannot begin with !")
    if ".." in spec.split("/"):
        raise SettingsProblem(f"has the path rule {quoted(spec)}: one cannot contain ..")
    if (outside := _outside(spec, scope, user_folder=user_folder, home=home)) is not None:
        literal = "" if _WILD.search(bare := _EVERYTHING_BELOW.sub("", outside)) else bare
        pattern = PathPattern(posixpath.normpath(outside), absolute=True, literal=literal)
    else:
        pattern = PathPattern(_inside(spec, permission), absolute=False)
    try:
        pattern.matches(["x"])
        pattern.matches(["/x"])
    except (ValueError, re.error) as error:
        raise SettingsProblem(f"has the path rule {quoted(spec)}, which is no pattern") from error
    return pattern


def _outside(spec: str, scope: Scope, *, user_folder: str, home: str) -> str | None:
    """Return the absolute form of a pattern, None where it is one of the worktree."""
    if spec.startswith("//"):
        return spec[1:]
    if spec.startswith("~/"):
        return f"{home}/{spec[2:]}"
    if spec.startswith("/") and scope is Scope.USER:
        return f"{user_folder}{spec}"
    return None


def _inside(spec: str, permission: Permission) -> str:
    if spec.startswith("./"):
        return spec[1:]
    if _ONE_FOLDER.fullmatch(spec):
        # A single folder: where it is allowed only the one at the top is meant, else any.
        return f"/{spec}" if permission is Permission.ALLOW else f"**/{spec}"
    return spec
