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
