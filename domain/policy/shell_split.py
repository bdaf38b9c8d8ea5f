"""Split a bash command line into its commands, as far as that can be told without running it.

What only a shell can tell is marked, never guessed. A line that cannot be split says why.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

import tree_sitter_bash
from tree_sitter import Language, Node, Parser

OPAQUE: Final = "\0"
"""Stands in a word for text that only a shell can tell."""

MOST_CHARS: Final = 10_000
"""Of a line that is split."""

MOST_PARTS: Final = 400
"""Of a line that is split."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_GLOB = re.compile(r"(?<!\\)[*?\[{]")
_SIMPLE = frozenset({"program", "list", "pipeline", "redirected_statement"})
_DECLARES = frozenset({"declaration_command", "unset_command"})
_HOME = frozenset({"$HOME", "${HOME}"})
_READS = frozenset({"<", "<&", "<&-"})
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_NUMBER = re.compile(r"[0-9]+-?|-")


@dataclass(frozen=True, slots=True)
class SimpleCommand:
    """One command of a line.

    Attributes:
        words: its name and arguments without quotes; `OPAQUE` stands for what a shell fills in.
        patterns: the same, with globs and braces made opaque too.
        variables: names that are assigned before it, for it alone.
        simple: it stands in the line itself, not in a loop, a function or a substitution.
    """

    words: tuple[str, ...]
    patterns: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    simple: bool = True

    @property
    def text(self) -> str:
        """Return its words on one line."""
        return " ".join(self.words)

    @property
    def pattern(self) -> str:
        """Return the same with globs and braces made opaque too."""
        return " ".join(self.patterns or self.words)


@dataclass(frozen=True, slots=True)
class SplitLine:
    """A line in its parts.

    Attributes:
        parts: every command of it, also those in substitutions, in order.
        writes, reads: the targets of redirections.
        problem: why it cannot be split, as the end of "a command that …"; "" when it is split.
        simple: it holds nothing but commands, operators between them and redirections.
    """

    parts: tuple[SimpleCommand, ...] = ()
    writes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    problem: str = ""
    simple: bool = True


@cache
def _parser() -> Parser:
    return Parser(Language(tree_sitter_bash.language()))


def split(line: str) -> SplitLine:
    """Return the commands of a line; nothing is raised for any line."""
    if len(line) > MOST_CHARS:
        return _unsplit(f"is longer than {MOST_CHARS:,} characters")
    if _CONTROL.search(line):
        return _unsplit("holds control characters")
    try:
        source = line.encode()
    except UnicodeEncodeError:
        return _unsplit("is no text")
    root = _parser().parse(source).root_node
    if root.has_error:
        return _unsplit("is no bash that can be read")
    return _read(root, source)


def _unsplit(problem: str) -> SplitLine:
    return SplitLine(problem=problem, simple=False)


def _read(root: Node, source: bytes) -> SplitLine:
    parts: list[SimpleCommand] = []
    writes: list[str] = []
    reads: list[str] = []
    simple = True
    waiting = [(root, True)]
    while waiting:
        node, plain = waiting.pop()
        match node.type:
            case "command":
                parts.append(_command(node, source, simple=plain))
            case kind if kind in _DECLARES:
                parts.append(_declaration(node, source, simple=plain))
            case "file_redirect":
                _redirect(node, source, writes, reads)
        inner = plain and node.type in _SIMPLE
        simple &= inner or not node.is_named or _is_leaf(node, plain=plain)
        waiting.extend((child, _inside(child, plain=inner)) for child in reversed(node.children))
        if len(parts) > MOST_PARTS:
            return _unsplit(f"holds more than {MOST_PARTS} commands")
    return SplitLine(tuple(parts), tuple(writes), tuple(reads), simple=simple)


_WORDS = frozenset(
    {
        *("command_name", "word", "string", "string_content", "raw_string", "number"),
        *("concatenation", "comment", "file_descriptor", "file_redirect", "variable_assignment"),
        *("variable_name",),
    }
)


def _inside(node: Node, *, plain: bool) -> bool:
    """Return whether a child of a simple node, or of its commands and words, is simple as well."""
    return plain or node.type in _WORDS


def _is_leaf(node: Node, *, plain: bool) -> bool:
    return (plain and node.type == "command") or node.type in _WORDS


def _command(node: Node, source: bytes, *, simple: bool) -> SimpleCommand:
    words: list[tuple[str, bool]] = []
    variables: list[str] = []
    for child in node.named_children:
        match child.type:
            case "variable_assignment":
                name = child.child_by_field_name("name")
                variables.append(_source(name, source) if name else OPAQUE)
            case "command_name":
                words.extend(_word(each, source) for each in child.children)
            case "file_redirect" | "heredoc_redirect" | "herestring_redirect" | "comment":
                pass
            case _:
                words.append(_word(child, source))
    return SimpleCommand(
        words=tuple(text for text, _ in words),
        patterns=tuple(_opaque_globs(text, quoted=quoted) for text, quoted in words),
        variables=tuple(variables),
        simple=simple,
    )


def _declaration(node: Node, source: bytes, *, simple: bool) -> SimpleCommand:
    """Return `export A=b` and its like as a command."""
    words = tuple(
        _source(child, source) if child.child_count == 0 else f"{_assigned(child, source)}{OPAQUE}"
        for child in node.children
    )
    return SimpleCommand(words, words, simple=simple)


def _assigned(node: Node, source: bytes) -> str:
    name = node.child_by_field_name("name")
    return f"{_source(name, source)}=" if name else ""


def _redirect(node: Node, source: bytes, writes: list[str], reads: list[str]) -> None:
    """Note where a redirection leads; one to a descriptor leads nowhere."""
    sign = next((c.type for c in node.children if not c.is_named), "")
    target = node.child_by_field_name("destination")
    words = [target] if target else [c for c in node.named_children if c.type in _WORDS]
    for each in words:
        if each.type == "file_descriptor":
            continue
        text, quoted = _word(each, source)
        if "&" in sign and _NUMBER.fullmatch(text):
            continue
        (reads if sign in _READS else writes).append(_opaque_globs(text, quoted=quoted))


def _word(node: Node, source: bytes) -> tuple[str, bool]:
    """Return a word without its quotes, and whether it was quoted as a whole."""
    match node.type:
        case "word" | "number":
            return _unescaped(_source(node, source)), False
        case "raw_string":
            return _source(node, source)[1:-1], True
        case "string":
            return _string(node, source), True
        case "concatenation":
            found = [_word(child, source) for child in node.children]
            text = "".join(_opaque_globs(text, quoted=quoted) for text, quoted in found)
            plain = "".join(text for text, _ in found)
            return (plain, True) if text == plain else (text, True)
        case "simple_expansion" | "expansion":
            return ("~" if _source(node, source) in _HOME else OPAQUE), True
        case _ if node.child_count == 0 and node.is_named is False:
            return _unescaped(_source(node, source)), False
        case _:
            return OPAQUE, True


def _string(node: Node, source: bytes) -> str:
    """Return what stands between double quotes; expansions in it are opaque."""
    at, pieces = node.start_byte + 1, []
    for child in node.named_children:
        if child.type == "string_content":
            continue
        pieces.append(_unquoted(source[at : child.start_byte].decode("utf-8", "replace")))
        home = at == node.start_byte + 1 and _source(child, source) in _HOME
        pieces.append("~" if home else OPAQUE)
        at = child.end_byte
    pieces.append(_unquoted(source[at : node.end_byte - 1].decode("utf-8", "replace")))
    return "".join(pieces)


def _source(node: Node, source: bytes) -> str:
    return source[node.start_byte : node.end_byte].decode("utf-8", "replace")


def _unescaped(text: str) -> str:
    """Return an unquoted word as the shell reads it; an escaped glob stays escaped for a moment."""
    return re.sub(
        r"\\(\n|.)", lambda found: "" if found[1] == "\n" else found[1], text, flags=re.DOTALL
    )


def _unquoted(text: str) -> str:
    return re.sub(r'\\(["\\$`\n])', lambda found: found[1].strip("\n"), text)


def _opaque_globs(text: str, *, quoted: bool) -> str:
    """Return a word of which what follows an unquoted glob or brace is opaque."""
    found = None if quoted else _GLOB.search(text)
    return f"{text[: found.start()]}{OPAQUE}" if found else text
