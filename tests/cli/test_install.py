"""The program on a person's PATH: its launcher, its names for itself, its completion."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from ops import launcher
from runtime.version import ROOT


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a blank in its name, in which the program is installed."""
    folder = tmp_path_factory.mktemp("a prefix")
    assert launcher.main(["install", str(folder)]) == 0
    return folder


def test_the_launcher_runs_this_checkout_from_anywhere_under_its_own_name(prefix: Path) -> None:
    """In another folder; help pages, refusals and the commands that are shown say orchestcode."""
    path = f"{prefix / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environ = {"PATH": path, "HOME": str(prefix), "PYTHONDONTWRITEBYTECODE": "1"}

    def said(*words: str) -> str:
        ran = subprocess.run(
            ["orchestcode", *words],
            env=environ,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        return ran.stdout + ran.stderr

    assert said("--version").startswith("orchestcode 0.")
    assert said("--help").startswith("Usage: orchestcode COMMAND ...")
    page = said("run", "--help")
    assert page.startswith("Usage: orchestcode run ")
    assert "  orchestcode run --repo" in page
    assert "starter.py" not in page
    assert said("fly") == "orchestcode: there is no command fly (see orchestcode --help)\n"
    assert "orchestcode up --detach" in said("service", "status")


def test_installing_says_what_the_path_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder that is not on the PATH, or another program of the name before it; else nothing."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "orchestcode").touch(mode=0o755)
    ours = tmp_path / "bin"

    def said(path: str) -> str:
        monkeypatch.setenv("PATH", path)
        assert launcher.main(["install", str(tmp_path)]) == 0
        return capsys.readouterr().out

    assert "is not on your PATH" in said("/usr/bin")
    assert "before it" in said(f"{other}:{ours}")
    assert said(f"{ours}:{other}").count("\n") == 2


def test_uninstalling_removes_what_was_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Launcher and completions; a second time there is nothing to remove."""
    words = ["uninstall", str(tmp_path)]
    launcher.main(["install", str(tmp_path)])

    assert (launcher.main(words), launcher.main(words)) == (0, 0)
    printed = capsys.readouterr().out
    assert printed.count("Removed ") == 4
    assert "nothing was removed" in printed
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_another_program_of_that_name_is_left_alone(
    tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is neither replaced nor removed; one sentence names it."""
    theirs = tmp_path / "bin" / "orchestcode"
    theirs.parent.mkdir()
    theirs.write_text("#!/bin/sh\n")

    assert launcher.main([verb, str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"orchestcode: {theirs} cannot be changed: ")
    assert theirs.read_text() == "#!/bin/sh\n"


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("orchestcode sta", {"status"}),
        ("orchestcode service inst", {"install"}),
        ("orchestcode run --b", {"--base", "--branch", "--budget-usd"}),
        ("orchestcode run --effort h", {"high"}),
    ],
)
def test_bash_completes_commands_options_and_choices(
    prefix: Path, typed: str, offered: set[str]
) -> None:
    """The installed completion, in a real shell."""
    script = prefix / "share" / "bash-completion" / "completions" / "orchestcode"
    code = (
        f". '{script}'; COMP_WORDS=({typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); "
        "_orchestcode; printf '%s\\n' \"${COMPREPLY[@]}\""
    )
    ran = subprocess.run(["bash", "-c", code], capture_output=True, text=True, check=True)

    assert set(ran.stdout.split()) == offered


def test_make_lists_every_verb() -> None:
    """Bare `make` prints each verb of the Makefile with one line, and does nothing."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    ran = subprocess.run(
        ["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    listed = re.findall(r"^  make ([a-z-]+) +\S.*$", ran.stdout, re.MULTILINE)

    assert named
    assert sorted(listed) == sorted(named[1].split())
    assert len(listed) == ran.stdout.count("\n")
