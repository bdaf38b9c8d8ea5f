"""What a log call passes reaches the line: every key is in the schema, and the schema is used."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.log_schema import EXTRA_KEYS

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = (
    "contracts",
    "domain",
    "workflows",
    "activities",
    "infra",
    "runtime",
    "console",
    "cli",
    "rehearsal",
    "web",
    "worker.py",
    "starter.py",
)
"""Those that exist are read, with every folder in them."""
LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log"}
STANDARD = {"exc_info", "stack_info", "stacklevel"}
"""Keywords of the standard library's log calls beside `extra`; any other is a key of structlog."""


def sources() -> Iterator[tuple[str, ast.Module]]:
    """Every product file, by its path below the root."""
    for name in PRODUCT:
        place = ROOT / name
        found = sorted(place.rglob("*.py")) if place.is_dir() else [place]
        for file in found:
            if file.is_file():
                yield str(file.relative_to(ROOT)), ast.parse(file.read_text("utf-8"))


def passed(call: ast.Call) -> list[str | None]:
    """The keys that one call passes to the log; None for what cannot be read here."""
    function = ast.unparse(call.func)
    if function == "ConfigDict":
        return []
    logs = isinstance(call.func, ast.Attribute) and call.func.attr in LEVELS and bool(call.args)
    keys: list[str | None] = []
    for keyword in call.keywords:
        if keyword.arg == "extra":
            keys += literal(keyword.value)
        elif logs and keyword.arg not in STANDARD:
            keys.append(keyword.arg)
    return keys


def literal(value: ast.expr) -> list[str | None]:
    """The keys of a dict literal; None for a key, or a dict, that is not written out."""
    if not isinstance(value, ast.Dict):
        return [None]
    return [
        key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else None
        for key in value.keys
    ]


def keys(tree: ast.AST) -> list[tuple[int, str | None]]:
    """Line and key of everything that a tree's calls pass to the log."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [(call.lineno, key) for call in calls for key in passed(call)]


def all_keys() -> list[tuple[str, str | None]]:
    """Place and key of everything that the product passes to the log."""
    return [(f"{file}:{line}", key) for file, tree in sources() for line, key in keys(tree)]


def test_every_key_that_is_logged_is_in_the_schema() -> None:
    """A key outside the schema would be dropped from the line without a word."""
    unknown = [f"{place} {key}" for place, key in all_keys() if key and key not in EXTRA_KEYS]

    assert unknown == []


def test_every_extra_is_written_out() -> None:
    """`extra=` is a dict literal with constant keys, so that the test above reads all of them."""
    assert [place for place, key in all_keys() if key is None] == []


def test_every_key_of_the_schema_is_logged() -> None:
    """A key that no call passes is not in the schema."""
    assert set(EXTRA_KEYS) - {key for _, key in all_keys()} == set()


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("workflow.logger.info('a', extra={'x': 1, 'y': 2})", ["x", "y"]),
        ("getattr(log, level)('a', extra={'x': 1})", ["x"]),
        ("structlog.get_logger('a').warning('b', x=1)", ["x"]),
        ("log.exception('a', exc_info=error)", []),
        ("ConfigDict(extra='forbid')", []),
        ("workflow.info()", []),
        ("log.info('a', extra=fields)", [None]),
        ("log.info('a', extra={**fields, 'x': 1})", [None, "x"]),
        ("log.info('a', extra={name: 1})", [None]),
        ("log.info('a', **fields)", [None]),
    ],
)
def test_what_a_call_passes_is_read(code: str, found: list[str | None]) -> None:
    """Each way of passing a key is seen, and one that cannot be read is named as such."""
    assert [key for _, key in keys(ast.parse(code))] == found
