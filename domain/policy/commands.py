"""What a command comes to: behind wrappers and runners, and whether it is critical.

A rule that denies or asks must match however a command is wrapped; one that allows looks behind
the few wrappers that change nothing of what runs.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from domain.policy.shell_split import OPAQUE, SimpleCommand, SplitLine, split

UNKNOWN: Final = SimpleCommand((OPAQUE,), (OPAQUE,), simple=False)
"""A command of which nothing is known."""

_DEEPEST = 5
_SHELLS = frozenset({"bash", "sh", "dash", "zsh", "ksh", "ash", "busybox"})
_MOVES = frozenset({"cd", "pushd"})
_PLAIN_WRAPPERS = frozenset(
    {"timeout", "time", "nice", "nohup", "stdbuf", "command", "builtin", "noglob", "xargs"}
)
"""Without options these change nothing of what an allowed command does."""


@dataclass(frozen=True)
class _Wrapper:
    """A program that runs what follows it.

    Attributes:
        valued: options that take the next word.
        positional: how many words stand before the command.
        assigns: variables may stand before the command.
    """

    valued: frozenset[str] = frozenset()
    positional: int = 0
    assigns: bool = False


def _wraps(valued: str = "", positional: int = 0, *, assigns: bool = False) -> _Wrapper:
    return _Wrapper(frozenset(valued.split()), positional, assigns)


_WRAPPERS = MappingProxyType(
    {
        "timeout": _wraps("-s --signal -k --kill-after", 1),
        "time": _wraps("-f --format -o --output"),
        "nice": _wraps("-n --adjustment"),
        "nohup": _wraps(),
        "stdbuf": _wraps("-i -o -e --input --output --error"),
        "command": _wraps(),
        "builtin": _wraps(),
        "noglob": _wraps(),
        "exec": _wraps("-a"),
        "xargs": _wraps("-I -n -P -L -d -a -s -E --max-args --max-procs --delimiter --arg-file"),
        "env": _wraps("-u --unset -C --chdir", assigns=True),
        "sudo": _wraps("-u -g -h -p -C -T -U -D -R --user --group --chdir", assigns=True),
        "doas": _wraps("-u -C"),
        "setsid": _wraps(),
        "ionice": _wraps("-c -n -p --class --classdata"),
        "chrt": _wraps("", 1),
        "taskset": _wraps("", 1),
        "flock": _wraps("-w -E --timeout --conflict-exit-code", 1),
        "watch": _wraps("-n --interval"),
        "unbuffer": _wraps(),
        "strace": _wraps("-e -o -p -s -u"),
        "chroot": _wraps("", 1),
        "unshare": _wraps(),
        "npx": _wraps("-p --package"),
    }
)
_GIT_VALUED = frozenset("-C -c --git-dir --work-tree --namespace --exec-path --config-env".split())  # noqa: SIM905
_FIND_RUNS = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


def every_part(line: SplitLine) -> tuple[SimpleCommand, ...]:
    """Return every command that a line may run, as far as words tell: wrapped and as a text too.

    `UNKNOWN` is among them where a text that only a shell can tell is run.
    """
    found: list[SimpleCommand] = []
    waiting = [(part, 0) for part in line.parts]
    while waiting:
        part, depth = waiting.pop(0)
        if part in found:
            continue
        found.append(part)
        if depth > _DEEPEST:
            found.append(UNKNOWN)
            continue
        waiting.extend((inner, depth + 1) for inner in _within(part))
    return tuple(found)


def _within(part: SimpleCommand) -> Iterator[SimpleCommand]:
    """Yield what a command runs in turn."""
    if not part.words:
        return
    name = _name(part.words[0])
    if name != part.words[0]:
        yield _cut(part, 0, name)
    if wrapper := _WRAPPERS.get(name):
        yield from _wrapped(part, wrapper)
    if name == "git" and (at := _after_options(part.words, _GIT_VALUED, 1)) > 1:
        yield _cut(part, at - 1, "git")
    if name == "find":
        yield from _found(part)
    if (text := _run_text(name, part.words)) is not None:
        yield from _of_text(text)


def _name(word: str) -> str:
    return word.rpartition("/")[2]


def _cut(part: SimpleCommand, at: int, name: str | None = None) -> SimpleCommand:
    """Return a command from its word at a place, with another name if one is given."""
    words, patterns = part.words[at:], part.patterns[at:]
    if name is not None:
        words, patterns = (name, *words[1:]), (name, *patterns[1:])
    return replace(part, words=words, patterns=patterns, simple=False)


def _wrapped(part: SimpleCommand, wrapper: _Wrapper) -> Iterator[SimpleCommand]:
    at = _after_options(part.words, wrapper.valued, 1) + wrapper.positional
    while wrapper.assigns and at < len(part.words) and _ASSIGNMENT.match(part.words[at]):
        at += 1
    if any(OPAQUE in word for word in part.words[1:at]):
        yield UNKNOWN
    splits = {"-S", "--split-string", "-c", "--command"}.intersection(part.words[1:at])
    if splits or any(word.startswith(("-S", "--split-string=")) for word in part.words[1:at]):
        yield UNKNOWN  # a text that is run as a command line
    if at < len(part.words):
        yield _cut(part, at)


def _after_options(words: Sequence[str], valued: frozenset[str], at: int) -> int:
    """Return the place of the first word that is no option and no option's value."""
    while at < len(words) and words[at].startswith("-") and words[at] != "-":
        if words[at] == "--":
            return at + 1
        at += 2 if words[at] in valued else 1
    return min(at, len(words))


def _found(part: SimpleCommand) -> Iterator[SimpleCommand]:
    """Yield what find runs for what it finds."""
    for at, word in enumerate(part.words):
        if word in _FIND_RUNS and at + 1 < len(part.words):
            end = next(
                (n for n in range(at + 1, len(part.words)) if part.words[n] in {";", "+"}), None
            )
            yield replace(
                part,
                words=part.words[at + 1 : end],
                patterns=part.patterns[at + 1 : end],
                simple=False,
            )


def _run_text(name: str, words: Sequence[str]) -> str | None:
    """Return the text that a command runs as a command line; `OPAQUE` for one from elsewhere."""
    match name:
        case "eval":
            return " ".join(words[1:])
        case "trap" if len(words) > 2:
            return words[1]
        case "su" | "script" | "ssh" | "parallel":
            return OPAQUE
        case _ if name in _SHELLS:
            return _shell_text(words)
        case _:
            return None


def _shell_text(words: Sequence[str]) -> str | None:
    at = 1
    while at < len(words) and words[at].startswith(("-", "+")):
        option = words[at]
        if OPAQUE in option:
            return OPAQUE
        if not option.startswith("--") and "c" in option[1:]:
            return words[at + 1] if at + 1 < len(words) else OPAQUE
        at += 2 if option in {"-o", "+o", "-O", "+O", "--rcfile", "--init-file"} else 1
    return OPAQUE if at >= len(words) else None  # a script by its name, or what stands on stdin


def _of_text(text: str) -> Iterator[SimpleCommand]:
    inner = split(text) if OPAQUE not in text else None
    if inner is None or inner.problem:
        yield UNKNOWN
        return
    yield from (replace(part, simple=False) for part in inner.parts)


def without_plain_wrappers(part: SimpleCommand) -> Iterator[SimpleCommand]:
    """Yield a command, and what it runs behind wrappers that an allowed command may have."""
    yield part
    for _ in range(_DEEPEST):
        name = part.words[0] if part.words else ""
        if name not in _PLAIN_WRAPPERS:
            return
        at = 1 + (name == "timeout")
        if at >= len(part.words) or any(word.startswith("-") for word in part.words[1 : at + 1]):
            return
        part = replace(part, words=part.words[at:], patterns=part.patterns[at:])
        yield part


def moves_and_runs_git(parts: Sequence[SimpleCommand]) -> bool:
    """Return whether a line enters a folder and runs git, whose files there may name programs."""
    names = {_name(part.words[0]) for part in parts if part.words}
    return "git" in names and not _MOVES.isdisjoint(names)


_RECURSIVE = re.compile(r"-[A-Za-z]*[rR][A-Za-z]*|--recursive")
_TREES = frozenset({"rm", "chmod", "chown", "chgrp"})
_SPARED = frozenset({"/tmp"})  # noqa: S108 - an agent's own
_TEXT_RM = re.compile(r"\brm\b[^\n;&|]*\s(?:-\w*[rR]|--recursive)")
_TEXT_TARGET = re.compile(r"""[\s"'](?:/|~|\$\{?HOME\}?)/?\*?(?:[\s"';&|)`]|$)""")
_DISKS = re.compile(r"/dev/(?:sd|hd|vd|xvd|nvme|mmcblk|disk|mapper/)")


def critical(line: SplitLine, parts: Sequence[SimpleCommand], text: str) -> str:
    """Return what a line destroys if it does what it says, "" for nothing that is known."""
    if line.problem:
        both = _TEXT_RM.search(text) and _TEXT_TARGET.search(text)
        return "it may delete the root or a home" if both else ""
    for part in parts:
        if said := _destroys(part):
            return said
    disk = next((each for each in line.writes if _DISKS.match(each)), "")
    return f"it writes onto the disk {disk}" if disk else ""


def _destroys(part: SimpleCommand) -> str:
    words = part.words
    name = _name(words[0]) if words else ""
    if name in _TREES and any(map(_RECURSIVE.fullmatch, words[1:])):
        target = next((word for word in words[1:] if _is_root(word)), None)
        shown = (target or "").replace(OPAQUE, "…")
        return "" if target is None else f"`{name}` would work through {shown}"
    if name == "find" and ("-delete" in words or not _FIND_RUNS.isdisjoint(words)):
        deletes = "-delete" in words or any(word == "rm" for word in words)
        return (
            "`find` would delete below the root or a home"
            if deletes and any(_is_root(word) for word in words[1:3])
            else ""
        )
    if name.startswith("mkfs") or (
        name in {"wipefs", "shred"} and any(map(_DISKS.match, words[1:]))
    ):
        return f"`{name}` overwrites a disk"
    if name == "dd" and any(_DISKS.match(word[3:]) for word in words if word.startswith("of=")):
        return "`dd` overwrites a disk"
    return ""


def _is_root(word: str) -> bool:
    """Return whether a word means the root, a folder at the top of it, a home, or may be the root.

    `"$VAR"/*` is the root where the variable is empty.
    """
    path = re.sub(r"/+", "/", word)
    if path in {f"{OPAQUE}/", f"{OPAQUE}/*", f"{OPAQUE}/{OPAQUE}"}:
        return True
    path = path.removesuffix("*").rstrip("/") if path not in {"*", "/"} else path
    if path in {"", "/"}:
        return True
    if path.startswith("~"):
        return "/" not in path
    parts = path.strip("/").split("/")
    return path.startswith("/") and len(parts) == 1 and path not in _SPARED
