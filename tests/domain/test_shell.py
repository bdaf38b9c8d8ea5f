"""What a command line runs first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import shell


@pytest.mark.parametrize(
    ("line", "word"),
    [
        pytest.param("pytest -q", "pytest", id="plain"),
        pytest.param("  make   test ", "make", id="spaces"),
        pytest.param("A=1 B='x y' pytest", "pytest", id="assignments"),
        pytest.param("./run.sh --all", "./run.sh", id="a path"),
        pytest.param("'my tool' x", "my tool", id="quoted"),
        pytest.param("make; make install", "make", id="a list"),
        pytest.param("# nothing", None, id="a comment"),
        pytest.param("", None, id="empty"),
        pytest.param("cd src && make", None, id="a builtin"),
        pytest.param("if true; then x; fi", None, id="a keyword"),
        pytest.param("(make)", None, id="a subshell"),
        pytest.param("$TOOL x", None, id="a variable"),
        pytest.param("`which x`", None, id="a substitution"),
        pytest.param("./*.sh", None, id="a pattern"),
        pytest.param("echo 'open", None, id="an open quote"),
        pytest.param("A=1", None, id="only an assignment"),
    ],
)
def test_first_words(line: str, word: str | None) -> None:
    """A program's name, or None where only a shell could tell."""
    assert shell.first_word(line) == word


@given(st.text(max_size=60))
def test_any_line_has_an_answer(line: str) -> None:
    """No line breaks it, and what it names is never a builtin."""
    word = shell.first_word(line)

    assert word is None or (word and word not in shell.BUILTINS)


@pytest.mark.parametrize(
    ("line", "names"),
    [
        pytest.param("pytset -q", ["pytset"], id="plain"),
        pytest.param("cd src && A=1 make test | tail -3", ["make", "tail"], id="a list"),
        pytest.param("cargo build\ncargo test", ["cargo"], id="lines"),
        pytest.param("timeout 60 env B=1 node x.js > out", ["node"], id="wrapped"),
        pytest.param("if test -f a; then ruff check; fi", ["ruff"], id="a keyword"),
        pytest.param("! grep -q x 'a;b' 2>&1", ["grep"], id="negated"),
        pytest.param("python3 -m pytest.main -q", ["python3:pytest"], id="a module"),
        pytest.param("./made.sh && bin/x", [], id="paths, which the task may make"),
        pytest.param(
            ".venv/bin/python -m black . && ./venv/bin/ruff check",
            [".venv/bin/python:black", "./venv/bin/ruff"],
            id="of a virtual environment",
        ),
        pytest.param("ruff check .", ["ruff"], id="of the whole folder"),
        pytest.param("cd web && .venv/bin/ruff; ls", ["ls"], id="of an environment elsewhere"),
        pytest.param("web/.venv/bin/ruff check", [], id="not of the top"),
        pytest.param("pytset || true", [], id="passes without it"),
        pytest.param("$(which x) && y", [], id="a substitution"),
        pytest.param("PATH=tools:$PATH mine", [], id="a path of its own"),
        pytest.param(". venv/bin/activate && mine", [], id="an environment of its own"),
        pytest.param("[[ -f a && b ]]", [], id="a test of the shell"),
        pytest.param("for x in a b; do $x; done", [], id="a loop"),
        pytest.param("echo 'open", [], id="an open quote"),
    ],
)
def test_programs_that_a_line_cannot_pass_without(line: str, names: list[str]) -> None:
    """Only what is surely needed and surely a program; where a shell alone can tell, nothing."""
    found = [
        f"{each.name}:{each.module}" if each.module else each.name for each in shell.programs(line)
    ]

    assert found == names


@given(st.text(max_size=60))
def test_the_programs_of_any_line_are_names(line: str) -> None:
    """No line breaks it, and no name holds what a shell would read otherwise."""
    for each in shell.programs(line):
        assert each.name not in shell.BUILTINS
        plain = each.name.translate(str.maketrans("_", "a", "-.+/"))
        assert plain.isalnum()
