"""What a checkout holds, as far as its languages, setup and checks can be told from it."""

import json
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from domain.text import one_line

CI_FOLDER: Final = ".github/workflows"
READ: Final = (
    *("package.json", "pyproject.toml", "setup.cfg", "tox.ini", "pytest.ini", ".pytest.ini"),
    *("Makefile", "makefile", "GNUmakefile", "go.mod", "go.work", "Cargo.toml", "mix.exs"),
    *("environment.yml", "environment.yaml", "Pipfile", "Gemfile", "composer.json"),
    *(".python-version", ".nvmrc", ".node-version", ".ruby-version", ".java-version"),
    *(".tool-versions", "mise.toml", ".mise.toml", "rust-toolchain", "rust-toolchain.toml"),
    *("runtime.txt", "requirements.txt", "requirements-dev.txt", "yarn.lock"),
    *(".gitlab-ci.yml", ".travis.yml"),
)
"""The files at the top of a checkout whose text is looked at, beside those of `CI_FOLDER`."""

_EXPLAINED: Final = 120


@dataclass(frozen=True)
class Facts:
    """What was read of a checkout.

    Attributes:
        files: regular files at its top and in the folders there, as paths.
        texts: of the files of `READ`, and of CI's.
        environment: name of its own virtual environment, such as `.venv`; "" when it has none.
        installed: what is installed in it and beside it: where, and what is there.
        problems: a sentence for each file that could not be read.
    """

    files: frozenset[str] = frozenset()
    texts: Mapping[str, str] = field(default_factory=dict)
    environment: str = ""
    installed: tuple[tuple[str, str], ...] = ()
    problems: tuple[str, ...] = ()

    def has(self, *names: str) -> str:
        """Return the first of some names that is a file, "" when none is."""
        return next((name for name in names if name in self.files), "")

    def folder(self, *names: str) -> str:
        """Return the first of some folders at the top that holds a file, "" when none does."""
        tops = {path.partition("/")[0] for path in self.files if "/" in path}
        return next((name for name in names if name in tops), "")

    def matching(self, pattern: str) -> list[str]:
        """Return the files whose whole path matches a regular expression, sorted."""
        return sorted(path for path in self.files if re.fullmatch(pattern, path))


@dataclass(frozen=True)
class Step:
    """A command that is proposed, and why."""

    command: str
    why: str


@dataclass(frozen=True)
class Findings:
    """What a checkout was found to be.

    Attributes:
        rows: what was found, each a heading and a text.
        setup: commands that install what it depends on.
        checks: commands that test it.
        problems: what is in the way of finding more, a sentence each.
    """

    rows: tuple[tuple[str, str], ...] = ()
    setup: tuple[Step, ...] = ()
    checks: tuple[Step, ...] = ()
    problems: tuple[str, ...] = ()

    def __add__(self, other: "Findings") -> "Findings":
        return Findings(
            self.rows + other.rows,
            self.setup + other.setup,
            self.checks + other.checks,
            self.problems + other.problems,
        )


def parsed_json(facts: Facts, name: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the object in a JSON file, and a sentence when there is none to be had."""
    return _parsed(facts, name, "JSON", json.loads)


def parsed_toml(facts: Facts, name: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what a TOML file holds, and a sentence when it cannot be read."""
    return _parsed(facts, name, "TOML", tomllib.loads)


def _parsed(
    facts: Facts, name: str, kind: str, parse: Callable[[str], object]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    text = facts.texts.get(name)
    if text is None:
        return {}, ()
    try:
        found = parse(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        why = one_line(str(error), _EXPLAINED)
        return {}, (f"{name} is no {kind} that can be read ({why}), so it says nothing here.",)
    if not isinstance(found, dict):
        return {}, (f"{name} holds no {kind} object, so it says nothing here.",)
    return found, ()


def table(value: object, *keys: str) -> dict[str, Any]:
    """Return the table to which keys lead, an empty one where something else is there."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def words_of(value: object) -> list[str]:
    """Return the texts of a list, nothing of anything else."""
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def first_line(text: str) -> str:
    """Return the first line of a text that says something, comments apart."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return next(filter(None, lines), "")


def joined(parts: Iterable[str]) -> str:
    """Return the parts that say something, for a row."""
    return ", ".join(one_line(part, _EXPLAINED) for part in parts if part)
