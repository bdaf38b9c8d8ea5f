"""Whether an edit broke the syntax of a file: parse only, nothing is run, nothing is forbidden.

Reports what is new relative to the version before, so that a file broken for other reasons is
not held against the edit. Python, JSON and TOML.
"""

import ast
import json
import re
import symtable
import sys
import tomllib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TypeAlias

from domain.editing.document import universal

PARSE_LIMIT_BYTES = 262_144
_LINE_NUMBER = re.compile(r"\bline \d+")
_DEEP = "nested too deeply to parse"
_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_OUTSIDE = MappingProxyType(
    {
        ast.Return: "return",
        ast.Yield: "yield",
        ast.YieldFrom: "yield",
        ast.Await: "await",
    }
)


@dataclass(frozen=True, slots=True)
class _Problem:
    line: int
    message: str
    source: str

    def same(self, other: "_Problem") -> bool:
        """Whether the other is this problem, perhaps moved to another line."""
        mine, theirs = (_LINE_NUMBER.sub("line", p.message) for p in (self, other))
        return (mine, self.source) == (theirs, other.source)


def new_problems(path: str, before: bytes | None, after: bytes) -> tuple[str, ...]:
    """Return the syntax errors of `after` that `before` does not have, in the order of the file.

    Without a known suffix, or above `PARSE_LIMIT_BYTES`, a file has none; `before` is None when
    there was no file.
    """
    parser = _PARSERS.get(PurePosixPath(path).suffix)
    if parser is None or max(len(before or b""), len(after)) > PARSE_LIMIT_BYTES:
        return ()
    found = _problems(parser, after)
    known = _problems(parser, before or b"") if found else []
    fresh = [p for p in found if not any(p.same(k) for k in known)]
    return tuple(f"line {problem.line}: {problem.message}" for problem in fresh)


def _problems(parser: "_Parser", data: bytes) -> list[_Problem]:
    if not data.strip():
        return []
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return []  # another encoding is no error of syntax
    lines = universal(text).split("\n")
    return [
        _Problem(n, m, lines[n - 1].strip() if n <= len(lines) else "") for n, m in parser(text)
    ]


def _python(text: str) -> Iterator[tuple[int, str]]:
    reader = f"(read as Python {sys.version_info.major}.{sys.version_info.minor})"
    refused = _refused(text)
    if refused is None:
        return
    found = tuple(_each(text, reader))
    if not found and isinstance(refused, SyntaxError):
        found = ((refused.lineno or 1, f"{refused.msg} {reader}"),)
    yield from found


def _refused(text: str) -> Exception | None:
    """Return why the text does not compile, None when it does: the quickest look at a file."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "edited.py", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return error
    return None


def _each(text: str, reader: str) -> Iterator[tuple[int, str]]:
    """Yield what is wrong with a text that does not compile."""
    try:
        tree = ast.parse(text)
        symtable.symtable(text, "edited.py", "exec")
    except SyntaxError as error:
        yield error.lineno or 1, f"{error.msg} {reader}"
    except ValueError as error:
        yield 1, str(error)
    except (RecursionError, MemoryError):
        yield 1, _DEEP
    else:
        yield from _outside_function(tree)


def _outside_function(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the statements that a lost indentation leaves outside any function."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if type(node) in _OUTSIDE:
            yield getattr(node, "lineno", 1), f"'{_OUTSIDE[type(node)]}' outside function"
        if not isinstance(node, _Function):
            waiting.extend(reversed(list(ast.iter_child_nodes(node))))


def _json(text: str) -> Iterator[tuple[int, str]]:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        yield error.lineno, error.msg
    except RecursionError:
        yield 1, _DEEP


def _toml(text: str) -> Iterator[tuple[int, str]]:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message, _, place = str(error).partition(" (at line ")
        line = place.split(",")[0]
        yield int(line) if line.isdigit() else text.count("\n") + 1, message
    except RecursionError:
        yield 1, _DEEP


_Parser: TypeAlias = Callable[[str], Iterator[tuple[int, str]]]
_PARSERS = MappingProxyType({".py": _python, ".pyi": _python, ".json": _json, ".toml": _toml})
