"""The recipe of cli/commands: a command is one file, found by its name, imported when chosen."""

import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.command import CommandLine, load_command
from cli.command_files import COMMANDS, is_group, summaries

ROOT = Path(__file__).resolve().parents[2]
GREET = '''"""
Greet a person.

Examples:
  starter.py greet Ada
"""

from cli.exit_codes import ExitCode
from cli.parameters import Context


async def command(name: str, /, *, times: int = 1, context: Context) -> ExitCode:
    """
    Greet.

    Args:
        name: who is greeted
        times: how often
    """
    context.print_out(*[f"Hello {name}, says {__name__}"] * times)
    return ExitCode.WAITING
'''


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A folder with a copy of starter.py and of cli; the other layers are this repository's."""
    shutil.copytree(ROOT / "cli", tmp_path / "cli")
    shutil.copy(ROOT / "starter.py", tmp_path)
    return tmp_path


def starter(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a folder's starter.py to its end."""
    return subprocess.run(
        [sys.executable, str(folder / "starter.py"), *words],
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_command_is_added_with_one_file(copy: Path) -> None:
    """A new file is a new command: listed, with help page, typed arguments and refusals."""
    (copy / "cli" / "commands" / "greet.py").write_text(GREET)

    ran = starter(copy, "greet", "Ada", "--times", "2")
    assert (ran.returncode, ran.stderr) == (3, "")
    assert ran.stdout == "Hello Ada, says cli.commands.greet\n" * 2
    assert re.search(r"^  greet +Greet a person$", starter(copy, "--help").stdout, re.MULTILINE)
    page = starter(copy, "greet", "--help").stdout
    assert "Usage: starter.py greet [--help] [--times TIMES] NAME" in page
    assert "how often (default: 1)" in page
    refused = starter(copy, "greet", "Ada", "--times", "often")
    assert refused.returncode == 2
    assert refused.stderr.startswith("orchestcode: ")
    assert "--times" in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_group_of_commands_is_a_folder(copy: Path) -> None:
    """A folder is a group with a page of its own; its files are called by two words."""
    group = copy / "cli" / "commands" / "people"
    group.mkdir()
    (group / "__init__.py").write_text('"""Meet people."""\n')
    (group / "say_hello.py").write_text(GREET)

    ran = starter(copy, "people", "say-hello", "Ada")
    assert ran.stdout == "Hello Ada, says cli.commands.people.say_hello\n"
    assert re.search(r"^  people +Meet people$", starter(copy, "--help").stdout, re.MULTILINE)
    page = starter(copy, "people", "--help").stdout
    assert page.startswith("Usage: starter.py people COMMAND ...\n\nMeet people.\n")
    assert "say-hello  Greet a person" in page
    refused = starter(copy, "people", "say-hallo")
    assert (
        refused.stderr == "orchestcode: there is no command say-hallo; did you mean say-hello? "
        "(see starter.py people --help)\n"
    )


def command_names(group: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the name of every command, those of groups too."""
    for word in summaries(group):
        name = (*group, word)
        yield from command_names(name) if is_group(name) else [name]


@pytest.mark.parametrize("name", list(command_names()), ids=" ".join)
def test_every_command_is_documented(name: tuple[str, ...]) -> None:
    """A command has a summary and examples, and says what each of its parameters means."""
    module = load_command(name)
    about = inspect.getdoc(module) or ""

    assert summaries(name[:-1])[name[-1]] == about.partition("\n")[0].rstrip(".")
    assert f"Examples:\n  starter.py {' '.join(name)}" in about
    assert max(map(len, about.splitlines())) <= 100
    assert inspect.iscoroutinefunction(module.command)
    for argument in CommandLine(module.command, program="").arguments:
        assert argument.parameter.help, argument.name


def test_every_file_of_the_folder_is_a_command() -> None:
    """The list of commands is the folder's content."""
    files = {file.stem for file in COMMANDS.glob("*.py")} - {"__init__"}
    groups = {file.parent.name for file in COMMANDS.glob("*/__init__.py")}

    assert files | groups == {name.replace("-", "_") for name in summaries(())}


def test_help_imports_nothing_that_is_slow() -> None:
    """The list of commands needs neither the SDK nor pydantic, rich, cyclopts or asyncio."""
    code = (
        "import sys, time, pathlib\n"
        "from cli.context import CliContext\n"
        "from cli.main import main\n"
        "main(['--help'], CliContext(environ={}, folder=pathlib.Path(), now=time.time))\n"
        "slow = {'temporalio', 'pydantic', 'rich', 'cyclopts', 'asyncio'}\n"
        "sys.exit(str(sorted(slow & set(sys.modules))))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert ran.stderr == "[]\n"
    assert ran.stdout.startswith("Usage: starter.py COMMAND")


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"]], ids=" ".join)
def test_a_closed_output_ends_the_command_quietly(words: list[str]) -> None:
    """When the reader of the output is gone, as `head` is, the command ends without a traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    ran = subprocess.run(
        [sys.executable, str(ROOT / "starter.py"), *words],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)

    assert (ran.returncode, ran.stderr) == (1, b"")
