"""Find the commands: each file of cli/commands is one, each folder there is a group of commands.

Only the first line of a file's docstring is read here; the file is imported when it is chosen.
"""

import re
from collections.abc import Sequence
from pathlib import Path

COMMANDS = Path(__file__).with_name("commands")
_FIRST_LINE = re.compile(r'"""\s*(.+?)\.?\s*(?:"""|\n)')


def split_command(words: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """Return the longest beginning of the words that names a command or group, and the rest."""
    name: tuple[str, ...] = ()
    while is_group(name) and len(name) < len(words) and words[len(name)] in summaries(name):
        name = (*name, words[len(name)])
    return name, list(words[len(name) :])


def is_group(name: Sequence[str]) -> bool:
    """Whether the name is that of a group of commands; the empty name is the group of all."""
    return COMMANDS.joinpath(*map(_stem, name)).is_dir()


def group_summary(group: Sequence[str]) -> str:
    """Return what the commands of a group are for."""
    return _summary(COMMANDS.joinpath(*map(_stem, group), "__init__.py"))


def summaries(group: Sequence[str]) -> dict[str, str]:
    """Return the summaries of a group's commands, by name."""
    folder = COMMANDS.joinpath(*map(_stem, group))
    files = {file.stem: file for file in folder.glob("*.py")}
    files |= {file.parent.name: file for file in folder.glob("*/__init__.py")}
    return {
        stem.replace("_", "-"): _summary(file)
        for stem, file in sorted(files.items())
        if not stem.startswith("_")
    }


def _summary(file: Path) -> str:
    """Return the first line of a file's docstring, without its full stop."""
    found = _FIRST_LINE.search(file.read_text(encoding="utf-8"))
    return found[1] if found else ""


def module_name(name: Sequence[str]) -> str:
    """Return the module of a command or group."""
    return ".".join(["cli.commands", *map(_stem, name)])


def _stem(word: str) -> str:
    return word.replace("-", "_")
