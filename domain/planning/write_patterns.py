"""Path patterns of a plan: what they cover, whether two of them can meet, which are refused.

A pattern is matched as fnmatch does on the whole repository path, so `*` crosses slashes. A
trailing slash, or a name without wildcards and without a suffix, covers everything below a folder;
`a/**/b` also covers `a/b`. Knows nothing of tasks.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import product

MAX_PATTERN_CHARS = 300
_WILD = re.compile(r"[*?\[]")
_WILD_END = re.compile(r"[*?\]]")
_BRACES = re.compile(r"\{[^{}]*,[^{}]*\}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DEEP = "**/"
# Two `**/` make four readings; a pattern with more is read with all of them or with none.
_MAX_DEEP = 2


def normal(pattern: str) -> str:
    """Return a pattern without outer blanks, leading `./` and doubled slashes; `.` becomes `**`."""
    plain = re.sub(r"/{2,}", "/", re.sub(r"^(\./+)+", "", pattern.strip()))
    return "**" if plain in (".", "") and pattern.strip() else plain


def refusal(pattern: str) -> str | None:
    """Return what is wrong with a pattern as the end of a sentence, None when it can be used."""
    parts = pattern.split("/")
    problems = (
        (not pattern.strip(), "is empty: leave it out or name a path"),
        (len(pattern) > MAX_PATTERN_CHARS, f"is longer than {MAX_PATTERN_CHARS} characters"),
        (_CONTROL.search(pattern), "holds a control character"),
        ("\\" in pattern, "holds a backslash: write paths with forward slashes"),
        (pattern.startswith(("/", "~")), "is absolute: write it relative to the repository"),
        (".." in parts, "leaves the repository: write it without `..`"),
        (".git" in [part.casefold() for part in parts], "names git's own directory"),
        (_BRACES.search(pattern), "uses braces, which are not understood: list each path"),
    )
    return next((words for wrong, words in problems if wrong), None)


def covers(patterns: Sequence[str], path: str) -> bool:
    """Return whether any of `patterns` covers the repository path `path`."""
    return any(_covers(normal(pattern), path) for pattern in patterns)


def names_a_place(pattern: str) -> bool:
    """Return whether a pattern names a folder or a file, not only what they may be like."""
    return any(part and not _WILD.search(part) for part in normal(pattern).split("/"))


def _covers(pattern: str, path: str) -> bool:
    # A name such as `[id].tsx` is a file as it stands as well as a character class.
    if path == pattern:
        return True
    if _is_folder(pattern):
        return path.startswith(pattern.rstrip("/") + "/")
    return any(fnmatchcase(path, reading) for reading in _readings(pattern))


def _is_folder(pattern: str) -> bool:
    # A name with a suffix is a file; `.github` and `Makefile` may be either.
    plain = _WILD.search(pattern) is None and bool(pattern)
    return plain and (pattern.endswith("/") or "." not in pattern.rsplit("/", 1)[-1][1:])


def _readings(pattern: str) -> Iterable[str]:
    # `a/**/b` is also `a/b`, which fnmatch alone would not see.
    whole = pattern + "*" if pattern.endswith("/") else pattern
    pieces = whole.split(_DEEP)
    joints = len(pieces) - 1
    if joints > _MAX_DEEP:
        return (whole, "".join(pieces))
    return [
        "".join(piece + joint for piece, joint in zip(pieces, (*choice, ""), strict=True))
        for choice in product((_DEEP, ""), repeat=joints)
    ]


@dataclass(frozen=True, slots=True)
class Reach:
    """What a pattern can cover; in lower case, which some file systems take for the same.

    Attributes:
        pattern: normal form; without the slash at its end when it is a folder.
        head, tail: the text before the first wildcard, and behind the last one; else the pattern.
        glob: it has wildcards.
        folder: it has none and covers everything below.
    """

    pattern: str
    head: str
    tail: str
    glob: bool = False
    folder: bool = False


def reach(pattern: str) -> Reach:
    """Return what a pattern can cover."""
    plain = normal(pattern).casefold()
    first = _WILD.search(plain)
    if first is None:
        path = plain.rstrip("/")
        return Reach(path, path, path, folder=_is_folder(plain))
    last = max((first.end(), *(found.end() for found in _WILD_END.finditer(plain))))
    # A `**/` may cover nothing at all, its slash included.
    tail = "" if plain.endswith("/") else plain[last:]
    return Reach(plain, plain[: first.start()], tail.removeprefix("/"), glob=True)


def meet(a: Reach, b: Reach) -> bool:
    """Return whether a path may exist that both cover; True when in doubt."""
    if a.glob and b.glob:
        return _compatible(a.head, b.head) and _compatible(a.tail[::-1], b.tail[::-1])
    if a.glob or b.glob:
        glob, plain = (a, b) if a.glob else (b, a)
        below = plain.folder and _compatible(plain.pattern + "/", glob.head)
        return below or _may_cover(glob, plain.pattern)
    return a.pattern == b.pattern or _below(a, b) or _below(b, a)


def _below(inner: Reach, outer: Reach) -> bool:
    return outer.folder and inner.pattern.startswith(outer.pattern + "/")


def _may_cover(glob: Reach, path: str) -> bool:
    if not (path.startswith(glob.head) and path.endswith(glob.tail)):
        return False
    # Folding the case of a character class may change what it means: then head and tail decide.
    return "[" in glob.pattern or any(fnmatchcase(path, r) for r in _readings(glob.pattern))


def _compatible(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def unsafe(path: str) -> bool:
    """Return whether a path of a tree could reach outside of it or into git's own directory."""
    parts = [part.casefold() for part in path.split("/")]
    return path.startswith("/") or any(part in ("", ".", "..", ".git") for part in parts)
