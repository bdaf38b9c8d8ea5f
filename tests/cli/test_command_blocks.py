"""The command lines of README, docs and help pages are ones that the program takes."""

import inspect
import re
import shlex
from collections.abc import Callable, Iterator

import pytest

from cli.command import CommandLine, load_command
from cli.command_files import is_group, split_command
from cli.help_pages import PROGRAM
from cli.program import INSTALLED
from runtime.version import ROOT
from tests.cli.test_command_files import command_names

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXTS = [page.read_text(encoding="utf-8") for page in PAGES]
_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(rf"`{INSTALLED} ([a-z][^`]*)`")


def documented() -> Iterator[list[str]]:
    """Yield what follows the program's name in each command line of a page's blocks."""
    for block in (block for text in TEXTS for block in _BLOCK.findall(text)):
        yield from typed(block.replace("\\\n", " "), INSTALLED)


def examples() -> Iterator[list[str]]:
    """Yield the same of the examples of help pages."""
    for name in command_names():
        _, _, shown = (inspect.getdoc(load_command(name)) or "").partition("Examples:\n")
        # What follows the examples is not indented.
        yield from typed("\n".join(re.findall(r"^  (.+)", shown, re.MULTILINE)), PROGRAM)


def typed(lines: str, program: str) -> Iterator[list[str]]:
    """Yield the words after a program's name, where a line begins with it, up to a pipe."""
    for line in lines.splitlines():
        words = shlex.split(line, comments=True)
        if words[:1] == [program]:
            yield words[1 : words.index("|") if "|" in words else None]


@pytest.mark.parametrize("lines", [documented, examples])
def test_a_documented_command_line_is_taken(lines: Callable[[], Iterator[list[str]]]) -> None:
    """Its verb and options exist, and it gives each value that its command needs."""
    taken = 0
    for words in lines():
        name, rest = split_command(words)
        CommandLine(load_command(name).command, program=" ".join(name)).parse(rest)
        taken += 1
    assert taken > 20


def test_a_command_that_a_page_mentions_is_there() -> None:
    """With its options; words that a reader replaces do not count."""
    mentioned = [found for text in TEXTS for found in _INLINE.findall(text)]

    assert "reconcile" in mentioned
    for line in mentioned:
        name, rest = split_command(shlex.split(line))
        assert not is_group(name), line
        arguments = CommandLine(load_command(name).command, program="").arguments
        options = {option for argument in arguments for option in argument.names}
        assert {word for word in rest if word.startswith("--")} <= options | {"--help"}, line
