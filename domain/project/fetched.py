"""Where go and cargo keep the packages that a lock file names, below a home."""

import re
import tomllib
from typing import Final

from domain.project.facts import table

HOME_LOCKS: Final = (("go.sum", "go/pkg/mod"), ("Cargo.lock", ".cargo/registry"))
"""Lock files whose packages lie in a home, and where."""

_GO_LINE: Final = re.compile(r"^(\S+) (v[\w.+-]+) h1:", re.MULTILINE)
_NAME: Final = re.compile(r"[\w.!~/+-]+(?:@v[\w.+-]+)?")
_MOST: Final = 5_000


def kept_as(lock: str, content: str) -> tuple[str, ...]:
    """Return where each package of a lock file lies below HOME, as patterns of a folder's names.

    Args:
        lock: the name of the lock file.
        content: what it holds; of a broken one nothing is known.
    """
    found = _of_go(content) if lock == "go.sum" else _of_cargo(content)
    plain = (each for each in found if _NAME.fullmatch(each[1]) and ".." not in each[1])
    return tuple("".join(each) for each in plain)[:_MOST]


def _of_go(content: str) -> list[tuple[str, str]]:
    """Go writes a capital letter of a module's path as `!` and the small one."""
    return [
        (
            "go/pkg/mod/",
            re.sub("[A-Z]", lambda letter: f"!{letter[0].lower()}", path) + f"@{version}",
        )
        for path, version in _GO_LINE.findall(content)
    ]


def _of_cargo(content: str) -> list[tuple[str, str]]:
    try:
        packages = tomllib.loads(content).get("package", [])
    except (ValueError, RecursionError):
        return []
    return [
        (".cargo/registry/cache/*/", f"{row.get('name')}-{row.get('version')}.crate")
        for row in map(table, packages if isinstance(packages, list) else [])
        if str(row.get("source", "")).startswith("registry+")
    ]
