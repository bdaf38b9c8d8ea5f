"""By which formatter of its own a repository has a file formatted, from its configuration.

Each command reads the file from its standard input and writes it, formatted, to its output.
"""

import json
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, Final

_SCRIPTS: Final = frozenset({".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".css", ".scss", ".vue"})
_PRETTIER: Final = tuple(
    f".prettierrc{end}" for end in ("", ".json", ".yaml", ".yml", ".toml", ".js", ".cjs", ".mjs")
)


@dataclass(frozen=True, slots=True)
class Formatter:
    """A formatter.

    Attributes:
        name: the program that has to be there.
        line: the command line.
    """

    name: str
    line: str


def configurations(path: str) -> Iterator[str]:
    """Yield the files that may configure a formatter of a file, the nearest first."""
    names = _NAMES.get(PurePosixPath(path).suffix, ())
    for folder in PurePosixPath(path).parents:
        yield from (str(folder / name) for name in names)


def formatter(path: str, configuration: str, content: bytes) -> Formatter | None:
    """Return the formatter of a file that a configuration of it names; None where it names none."""
    suffix, name = PurePosixPath(path).suffix, PurePosixPath(configuration).name
    quoted = shlex.quote(f"./{path}")
    if suffix in {".py", ".pyi"}:
        return _of_python(name, _toml(content), quoted)
    if suffix == ".go":
        return Formatter("gofmt", "gofmt")
    if suffix == ".rs":
        package = _toml(content).get("package")
        edition = package.get("edition") if isinstance(package, dict) else None
        return Formatter("rustfmt", f"rustfmt --edition {_edition(edition)} --emit stdout")
    if name != "package.json" or "prettier" in _json(content):
        return Formatter("prettier", f"prettier --stdin-filepath {quoted}")
    return None


def _of_python(name: str, found: Mapping[str, Any], path: str) -> Formatter | None:
    tools = found.get("tool") if name == "pyproject.toml" else {"ruff": found}
    tools = tools if isinstance(tools, dict) else {}
    ruff = tools.get("ruff")
    if isinstance(ruff, dict) and "format" in ruff:
        return Formatter("ruff", f"ruff format --no-cache --stdin-filename {path} -")
    return Formatter("black", f"black -q --stdin-filename {path} -") if "black" in tools else None


def _edition(value: object) -> str:
    return value if isinstance(value, str) and value.isdigit() else "2021"


@lru_cache(maxsize=16)
def _toml(content: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(content.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError):
        return {}


def _json(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


_NAMES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        **dict.fromkeys((".py", ".pyi"), ("ruff.toml", ".ruff.toml", "pyproject.toml")),
        **dict.fromkeys(_SCRIPTS, (*_PRETTIER, "package.json")),
        ".go": ("go.mod",),
        ".rs": ("Cargo.toml",),
    }
)
