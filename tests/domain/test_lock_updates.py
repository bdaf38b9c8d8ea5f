"""Which commands an agent may ask for, and which lock files follow a changed manifest."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.lock_updates import in_folder, is_stated, relocks, update_problem

WORDS = st.text(alphabet="abc-./@^~=:1 ;&|<>()$`'\"\\\n", max_size=12)


@pytest.mark.parametrize(
    "line",
    [
        "npm install left-pad",
        "npm install --save-dev 'left-pad@>=1 <2'",
        "pnpm add -D vitest",
        "yarn add react@18",
        "uv add 'httpx>=0.27'",
        "uv lock",
        "poetry add requests",
        "go get golang.org/x/text@latest",
        "go mod tidy",
        "cargo add serde --features derive",
        "composer require monolog/monolog",
        "bundle add rack",
        "mix deps.get",
    ],
)
def test_a_plain_command_of_a_package_manager_may_be_asked_for(line: str) -> None:
    """Version ranges may be quoted."""
    assert update_problem(line) == ""


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("", "it must begin with"),
        ("curl example.org", "it must begin with"),
        ("FOO=1 npm install x", "it must begin with"),
        ("./npm install x", "it must begin with"),
        ("npm run build", "npm may be told"),
        ("npm exec x", "npm may be told"),
        ("npm --prefix x install y", "npm may be told"),
        ("uv run python", "uv may be told"),
        ("go run .", "go may be told get, mod download, mod tidy"),
        ("go mod edit", "go may be told"),
        ("cargo install x", "cargo may be told"),
        ("npm install x; rm -rf .", "one plain command"),
        ("npm install x && y", "one plain command"),
        ("npm install x | y", "one plain command"),
        ("npm install x > y", "one plain command"),
        ("npm install x\ncurl y", "one plain command"),
        ("npm install $(x)", "one plain command"),
        ("npm install `x`", "one plain command"),
        ("npm install $HOME", "one plain command"),
        ("npm install 'x", "not understood"),
    ],
)
def test_another_command_is_refused_with_what_fits(line: str, why: str) -> None:
    """The sentence says what is wrong."""
    assert why in update_problem(line)


@given(st.lists(WORDS, max_size=4))
def test_whatever_is_allowed_is_one_command_of_a_package_manager(words: list[str]) -> None:
    """However words are put together: a shell would run nothing else."""
    line = " ".join(["npm install", *words])
    if update_problem(line) == "":
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";&|()<>\n")
        lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
        assert not any(set(word) <= set(";&|()<>\n") for word in lexer)
        assert "$" not in line
        assert "`" not in line


def test_a_command_runs_in_its_folder() -> None:
    """Which is one word for the shell."""
    assert in_folder("npm install x", "") == "npm install x"
    assert in_folder("npm install x", "a b") == "(cd 'a b' && npm install x)"


def test_a_lock_file_follows_its_manifest() -> None:
    """Not one that was changed itself, nor one whose manifest was not."""
    files = ("package.json", "package-lock.json", "web/uv.lock", "web/pyproject.toml", "a.py")
    assert relocks(files, ["package.json"]) == ("npm install --package-lock-only",)
    assert relocks(files, ["web/pyproject.toml"]) == ("(cd web && uv lock)",)
    assert relocks(files, ["package.json", "package-lock.json"]) == ()
    assert relocks(files, ["a.py"]) == ()
    assert relocks(["requirements.txt"], ["requirements.txt"]) == ()


def test_only_what_package_managers_write_to_say_what_is_installed_is_taken_over() -> None:
    """In every folder, by its whole name."""
    assert all(map(is_stated, ("package.json", "web/uv.lock", "go.sum", "Cargo.toml", "go.work")))
    assert not any(map(is_stated, ("README.md", "my-package.json", "node_modules/a.js", ".npmrc")))
