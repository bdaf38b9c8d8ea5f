"""By which formatter a file is formatted: only where the repository configures one for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.editing.formatters import configurations, formatter

RUFF = "ruff format --no-cache --stdin-filename './my a.py' -"


@pytest.mark.parametrize(
    ("path", "name", "content", "line"),
    [
        ("my a.py", "pyproject.toml", "[tool.ruff.format]\n", RUFF),
        ("my a.py", "ruff.toml", "[format]\n", RUFF),
        ("a.py", "pyproject.toml", "[tool.black]\n", "black -q --stdin-filename ./a.py -"),
        ("a.py", "pyproject.toml", "[tool.ruff.lint]\n", None),
        ("a.py", "pyproject.toml", "[tool\n", None),
        ("a.py", "pyproject.toml", "tool = 1\n", None),
        ("src/a.ts", "package.json", '{"prettier": {}}', "prettier --stdin-filepath ./src/a.ts"),
        ("src/a.ts", "package.json", "{}", None),
        ("src/a.ts", "package.json", "[", None),
        ("src/a.ts", ".prettierrc", "", "prettier --stdin-filepath ./src/a.ts"),
        ("a.go", "go.mod", "module m\n", "gofmt"),
        ("a.rs", "Cargo.toml", "[package]\nedition = '2018'\n", "rustfmt --edition 2018 --emit"),
        ("a.rs", "Cargo.toml", "[workspace]\n", "rustfmt --edition 2021 --emit stdout"),
        ("a.rs", "Cargo.toml", "[package]\nedition = '1; x'\n", "rustfmt --edition 2021 --emit"),
    ],
)
def test_a_configuration_names_a_formatter(
    path: str, name: str, content: str, line: str | None
) -> None:
    """For files of its kind, by what it says; a linter's is none."""
    found = formatter(path, name, content.encode())

    assert (found is None) == (line is None)
    assert found is None or found.line.startswith(line or "")


def test_the_nearest_configuration_comes_first() -> None:
    """From the file's folder up to the root; other kinds of files have none."""
    assert list(configurations("src/app/a.go")) == ["src/app/go.mod", "src/go.mod", "go.mod"]
    assert list(configurations("src/a.py"))[:4] == [
        *("src/ruff.toml", "src/.ruff.toml", "src/pyproject.toml", "ruff.toml")
    ]
    assert list(configurations("src/a.md")) == []


@given(st.binary(max_size=80), st.sampled_from(["a.py", "a.ts", "a.rs"]))
def test_any_configuration_is_read(content: bytes, path: str) -> None:
    """One that cannot be read names no formatter, or one that needs no reading."""
    for name in configurations(path):
        found = formatter(path, name, content)
        assert found is None or found.line
