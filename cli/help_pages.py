"""The help pages: of all commands, of a group of commands, of one command."""

import shutil
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from cli.command_files import group_summary, summaries

if TYPE_CHECKING:
    from cyclopts import ArgumentCollection
    from cyclopts.argument import Argument

PROGRAM = "starter.py"
"""The name in the docstrings of commands; pages show the one by which the program was called."""
HELP_FLAGS = ("-h", "--help")
_EXIT_CODES = """\
Exit codes:
  0  delivered (commands that only look or answer: they did)
  1  failed or cancelled
  2  the command line, or what it asks for, cannot be carried out as given
  3  not finished: detached or interrupted, it waits for a person to come back"""
_WIDEST_LABEL = 20
_WIDEST_PAGE = 100


def group_page(group: Sequence[str], *, program: str) -> str:
    """Return the page of a group of commands; the empty name is that of all."""
    called = " ".join([program, *group])
    return _page(
        f"Usage: {called} COMMAND ...",
        f"{group_summary(group)}.",
        _table("Commands:", summaries(group)),
        f"`{called} COMMAND --help` shows what a command takes.",
        "" if group else f"`{called} --version` shows the version of the code.",
        _EXIT_CODES,
    )


def command_page(
    name: Sequence[str], about: str, parameters: "ArgumentCollection", *, program: str
) -> str:
    """Return the page of one command: how it is called, what it does, what may be typed."""
    rows = {label(parameter): _description(parameter) for parameter in parameters}
    options = {name: text for name, text in rows.items() if name.startswith("-")}
    arguments = {name: text for name, text in rows.items() if name not in options}
    required = {label(parameter) for parameter in parameters if parameter.required}
    parts = [part if part in required else f"[{part}]" for part in ("--help", *options, *arguments)]
    usage = " ".join(["Usage:", program, *name, *(part.replace(" ", "\0") for part in parts)])
    return _page(
        # A part like `[--repo PATH]` is not broken.
        textwrap.fill(usage, _columns(), subsequent_indent=" " * 4, break_on_hyphens=False).replace(
            "\0", " "
        ),
        *map(_paragraph, about.replace(PROGRAM, program).split("\n\n")),
        _table("Arguments:", arguments),
        _table("Options:", {**options, "-h, --help": "show this page"}),
        _EXIT_CODES,
    )


def label(argument: "Argument") -> str:
    """Return what a person types for a parameter: `ID`, `--repo PATH`, `--json`."""
    if argument.index is not None or not takes_value(argument):
        return argument.name
    return f"{argument.name} {argument.parameter.metavar or argument.name.strip('-').upper()}"


def _description(argument: "Argument") -> str:
    """Return what a parameter means, its choices and its default."""
    text = " ".join((argument.parameter.help or "").split())
    choices = None if argument.parameter.converter else argument.get_choices()
    default = argument.field_info.default if argument.show_default else None
    if choices:
        text += f" ({', '.join(choices)})"
    if isinstance(default, str | int | float) and default not in (False, ""):
        text += f" (default: {default})"
    return text


def takes_value(argument: "Argument") -> bool:
    """Whether a value is typed for the parameter, and not its name alone."""
    return bool(argument.token_count()[0])


def _page(*sections: str) -> str:
    return "\n\n".join(section for section in sections if section)


def _paragraph(text: str) -> str:
    """Return a paragraph wrapped to the terminal; one with indented lines stays as it is."""
    return text if "\n " in text else textwrap.fill(text, _columns())


def _table(title: str, rows: Mapping[str, str]) -> str:
    """Return a title and a line or more for each row, the texts below each other."""
    if not rows:
        return ""
    labels = [len(label) for label in rows if len(label) <= _WIDEST_LABEL]
    indent = " " * (max(labels, default=_WIDEST_LABEL) + 4)
    lines = [line for label, text in rows.items() for line in _row(label, text, indent)]
    return "\n".join([title, *lines])


def _row(label: str, text: str, indent: str) -> Iterator[str]:
    first = f"  {label}"
    if len(first) + 2 > len(indent):
        yield first
        first = ""
    yield textwrap.fill(
        text, _columns(), initial_indent=first.ljust(len(indent)), subsequent_indent=indent
    ).rstrip()


def _columns() -> int:
    return min(shutil.get_terminal_size().columns, _WIDEST_PAGE)
