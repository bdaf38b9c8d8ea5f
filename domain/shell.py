"""Command lines on paper: which programs a line runs, as far as can be said without running it."""

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_ASSIGNMENT = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*=")
_OPENERS = frozenset("({<>&|;!$`")
BUILTINS = frozenset(
    """
    . : [ [[ alias bg bind break builtin caller case cd command compgen complete continue declare
    dirs disown do done echo elif else enable esac eval exec exit export false fc fg fi for function
    getopts hash help history if jobs kill let local logout mapfile popd printf pushd pwd read
    readarray readonly return select set shift shopt source suspend test then time times trap true
    type typeset ulimit umask unalias unset until wait while
    """.split()  # noqa: SIM905 - a list of words reads better as words
)


def first_word(line: str) -> str | None:
    """Return the program that a command line starts with, None when only a shell can tell.

    Leading assignments are passed over; a builtin or keyword gives None too.
    """
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return None
    for word in words:
        if _ASSIGNMENT.match(word):
            continue
        if word[0] in _OPENERS or any(sign in word for sign in "$`*?") or word in BUILTINS:
            return None
        return word.rstrip(";&|") or None
    return None


@dataclass(frozen=True, slots=True)
class Program:
    """A program that a line runs; `module` is the top of what `python -m` names, else "".

    `name` is a path where it is one of a virtual environment's, such as `.venv/bin/ruff`.
    """

    name: str
    module: str = ""


_ENDS = frozenset(";&|()\n")
_PASSED_OVER = frozenset("! { do elif else if nohup then time until while".split())  # noqa: SIM905
_UNTOLD = frozenset("[[ alias case eval for function select source trap xargs".split())  # noqa: SIM905
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_PYTHON = re.compile(r"(?:.*/)?(?:python|pypy)[0-9.]*")
_ENVIRONMENT = re.compile(r"(?:\./)?\.?venv/bin/[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_MOVES = frozenset({"cd", "popd", "pushd"})
_MODULE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def programs(line: str) -> tuple[Program, ...]:
    """Return the programs that a line cannot pass without, each once, in order.

    Nothing for a line whose programs only a shell can tell, or that can pass without one of them
    (`a || b`). Builtins and paths are left out: a path may be made by what runs before. Nothing
    makes what is in a virtual environment at the top: its paths are told, unless the line moves.
    """
    if "<<" in line or "`" in line or "$(" in line:
        return ()
    lexer = shlex.shlex(line.replace("\\\n", " "), posix=True, punctuation_chars=";&|()<>\n")
    lexer.whitespace, lexer.whitespace_split = " \t\r", True
    try:
        words = list(lexer)
    except ValueError:
        return ()
    if any("||" in word or word in _UNTOLD or word.startswith("PATH=") for word in words):
        return ()
    parts = [_command(part) for part in _parts(words)]
    if ["."] in (part[:1] for part in parts):
        return ()
    every = dict.fromkeys(found for part in parts for found in _program(part))
    moves = not _MOVES.isdisjoint(words)
    return tuple(each for each in every if not (moves and "/" in each.name))


def _parts(words: Iterable[str]) -> Iterator[list[str]]:
    """Yield the words of each simple command, redirections left out."""
    part: list[str] = []
    target = False
    for word in words:
        if set(word) <= _ENDS:
            yield part
            part = []
        elif set(word) <= _ENDS | {"<", ">"}:
            target = True
        elif target:
            target = False
        else:
            part.append(word)
    yield part


def _command(words: list[str]) -> list[str]:
    """Return a simple command without assignments and what may stand before it."""
    rest = [word for word in words if not _ASSIGNMENT.match(word)]
    while rest and rest[0] in _PASSED_OVER:
        rest.pop(0)
    return rest


def _program(words: list[str]) -> Iterator[Program]:
    rest = _command(words)
    if not rest or rest[0] in BUILTINS:
        return
    if not (_PLAIN.fullmatch(rest[0]) or _ENVIRONMENT.fullmatch(rest[0])):
        return
    name, *arguments = rest
    if name == "env" and arguments and not arguments[0].startswith("-"):
        yield from _program(arguments)
    elif name == "timeout" and len(arguments) > 1 and not arguments[0].startswith("-"):
        yield from _program(arguments[1:])
    elif _PYTHON.fullmatch(name) and arguments[:1] == ["-m"] and len(arguments) > 1:
        top = _MODULE.match(arguments[1])
        yield Program(name, top[0] if top else "")
    else:
        yield Program(name)
