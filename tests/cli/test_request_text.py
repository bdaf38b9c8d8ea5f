"""Where the words of a request come from, and which repository they are about."""

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typing_extensions import override

from cli.context import CliContext
from cli.exit_codes import UsageError
from cli.repository_folder import repository_folder
from cli.request_text import LONGEST_BYTES, request_text
from contracts import wire_defaults
from domain.text import NO_TEXT
from runtime.settings import load
from tests.cli.test_command_line import help_of

Asking = Callable[..., str]


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    @override
    def isatty(self) -> bool:
        return True


@pytest.fixture
def asking(tmp_path: Path) -> Asking:
    """Ask for a request's words as `run` does, with some input, variables and a terminal or not."""

    def ask(typed: str | None, *, told: bytes = b"", terminal: bool = False, **environ: str) -> str:
        kind = Terminal if terminal else io.TextIOWrapper
        variables = {"ORCHESTCODE_HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin", **environ}
        context = CliContext(
            environ=variables,
            folder=tmp_path,
            now=lambda: 0.0,
            stdin=kind(io.BytesIO(told)),
            stdout=kind(io.BytesIO()),
            stderr=kind(io.BytesIO()),
        )
        return request_text(typed, load(variables), context)

    return ask


def editor(folder: Path, script: str) -> str:
    """Return the command line of an editor that is a shell script; $1 is the file."""
    file = folder / "my editor"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return f"'{file}' --wait"


def test_a_request_is_read_from_standard_input_or_a_file(tmp_path: Path, asking: Asking) -> None:
    """`-` and `@FILE` are no requests; what they hold is one, without blanks around it."""
    (tmp_path / "todo.md").write_text("\n# Mend the cart\n\nAll of it.\n")

    assert asking("-", told="Prüfe es\n".encode()) == "Prüfe es"
    assert asking("@todo.md") == "# Mend the cart\n\nAll of it."
    assert asking(f"@{tmp_path}/todo.md") == asking("@todo.md")
    assert asking("@cached is missing on total()") == "@cached is missing on total()"
    assert asking(" - mend it") == "- mend it"


@pytest.mark.parametrize(
    ("typed", "told", "said"),
    [
        pytest.param("@nowhere.md", b"", "There is no file", id="no file"),
        pytest.param("@.", b"", "There is no file", id="a folder"),
        pytest.param("-", b" \n", "Standard input is empty", id="nothing"),
        pytest.param(" ", b"", "REQUEST is empty", id="no word"),
        pytest.param("-", b"x\xff", NO_TEXT, id="bytes"),
        pytest.param("-", b"x" * (LONGEST_BYTES + 1), "holds more than", id="too much"),
        pytest.param(None, b"Mend it", "REQUEST is missing", id="no terminal"),
    ],
)
def test_what_holds_no_request_is_refused(
    typed: str | None, told: bytes, said: str, asking: Asking
) -> None:
    """One sentence names the source and what is wrong with it."""
    with pytest.raises(UsageError, match=re.escape(said)):
        asking(typed, told=told)


def test_without_a_request_a_terminal_gets_an_editor(tmp_path: Path, asking: Asking) -> None:
    """What stands above the line is the request, a heading too; it is kept in the home."""
    words = editor(tmp_path, 'printf "# Mend\\n\\nit\\n" | cat - "$2" > new && cat new > "$2"')

    assert asking(None, terminal=True, EDITOR=words) == "# Mend\n\nit"
    assert asking(None, terminal=True, EDITOR="false", VISUAL=words) == "# Mend\n\nit"
    assert (tmp_path / "home" / "request.md").read_text() == "# Mend\n\nit\n"


@pytest.mark.parametrize(
    ("script", "said"), [("exit 0", "is empty"), ("exit 3", "exit code 3; nothing was started")]
)
def test_an_editor_that_writes_nothing_or_fails_starts_nothing(
    script: str, said: str, tmp_path: Path, asking: Asking
) -> None:
    """One sentence says so."""
    with pytest.raises(UsageError, match=said):
        asking(None, terminal=True, EDITOR=editor(tmp_path, script))


def test_the_repository_is_the_one_that_a_person_stands_in(tmp_path: Path) -> None:
    """Also deep inside of it, in a linked worktree or a bare one; what is named goes first."""

    def found(folder: Path, named: str | None = None) -> str:
        folder.mkdir(parents=True, exist_ok=True)
        return repository_folder(named, CliContext(environ={}, folder=folder, now=lambda: 0.0))

    shop, linked, bare = tmp_path / "shop", tmp_path / "linked", tmp_path / "bare.git"
    (shop / ".git").mkdir(parents=True)
    linked.mkdir()
    (linked / ".git").write_text("gitdir: elsewhere\n")
    for part in ("objects", "refs", "HEAD"):
        (bare / part).mkdir(parents=True)

    assert found(shop / "src" / "cart") == found(shop) == str(shop)
    assert found(linked / "src") == str(linked)
    assert found(bare) == str(bare)
    assert found(shop, "src") == str(shop / "src")
    with pytest.raises(UsageError, match=r"lies in no git repository: .*--repo"):
        found(tmp_path)
    with pytest.raises(UsageError, match="There is no folder"):
        found(shop, "nowhere")


def test_help_names_the_defaults_of_run() -> None:
    """What a request may cost and how many tasks run at once, as the contract has them."""
    page = " ".join(help_of(["run", "--help"]).split())

    assert f"cost (default: {wire_defaults.REQUEST_BUDGET_USD:g})" in page
    assert f"plan may hold (default: {wire_defaults.PARALLEL_TASKS})" in page
