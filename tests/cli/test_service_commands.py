"""The systemd user unit: what is written, and who starts it."""

import io
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from cli.context import CliContext
from cli.exit_codes import ExitCode
from cli.main import main
from runtime.version import ROOT

KEY = 'sk-"$HOME`\\ %n'


class Shell:
    """A person's shell with a home of its own; `systemctl` records what it is told.

    Attributes:
        unit, settings: the files that are installed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environ = {
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "ORCHESTCODE_HOME": str(folder / "my %home"),
            "ANTHROPIC_API_KEY": KEY,
            "ORCHESTCODE_MODEL": "some-model",
            "SHELL_ONLY": "not kept",
            "PATH": f"{folder}:{os.environ['PATH']}",
        }
        self.unit = folder / "config" / "systemd" / "user" / "orchestcode.service"
        self.settings = folder / "my %home" / "service.env"

    def has_systemctl(self, *, exit_code: int) -> None:
        """Put a program in the way that writes down its arguments and ends with a code."""
        program = self.folder / "systemctl"
        program.write_text(f'#!/bin/sh\necho "$@" >> {self.folder}/told\nexit {exit_code}\n')
        program.chmod(0o755)

    def told(self) -> list[str]:
        """Return what systemctl was told, and forget it."""
        lines = (self.folder / "told").read_text().splitlines()
        (self.folder / "told").unlink()
        return lines

    def types(self, *words: str) -> tuple[ExitCode, str]:
        """Execute a command; return its exit code and all that it printed."""
        out = io.StringIO()
        context = CliContext(
            environ=self.environ, folder=self.folder, now=time.time, stdout=out, stderr=out
        )
        return main(words, context), out.getvalue()


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell in which nothing is installed."""
    return Shell(tmp_path)


@pytest.mark.parametrize("words", [("gc",), ("forget", "mine"), ("reconcile",)])
def test_a_dry_run_without_a_worker_is_refused_and_starts_nothing(
    shell: Shell, words: tuple[str, ...]
) -> None:
    """A worker that starts acts on what is open; the refusal names the command that starts one."""
    code, said = shell.types(*words, "--dry-run")

    assert code is ExitCode.USAGE
    assert "starts none, and none runs" in said
    assert "up --detach" in said
    assert not (shell.folder / "my %home").exists()


def test_the_unit_runs_up_with_the_settings_of_the_shell(shell: Shell) -> None:
    """The unit is read anew and started; the settings with the key are for their owner
    alone and hold nothing of the shell that is not ours; `uninstall` ends it and removes both.
    """
    shell.has_systemctl(exit_code=0)
    code, said = shell.types("service", "install")
    assert (code, "Started" in said, KEY in said) == (ExitCode.DELIVERED, True, False)
    assert shell.told() == ["--user daemon-reload", "--user enable --now orchestcode.service"]
    lines = shell.unit.read_text().splitlines()
    assert f"WorkingDirectory={ROOT}" in lines
    assert f"EnvironmentFile={shell.folder}/my %%home/service.env" in lines
    assert any(line.endswith('starter.py" up') for line in lines if line.startswith("ExecStart="))
    if shutil.which("systemd-analyze"):
        checked = subprocess.run(
            ["systemd-analyze", "verify", "--user", str(shell.unit)],
            env={"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(shell.folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stderr

    assert shell.settings.stat().st_mode & 0o777 == 0o600
    assert "SHELL_ONLY" not in shell.settings.read_text()
    read = subprocess.run(
        ["bash", "-c", f'. "{shell.settings}"; printf %s "$ANTHROPIC_API_KEY|$ORCHESTCODE_HOME"'],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert read.stdout == f"{KEY}|{shell.environ['ORCHESTCODE_HOME']}"

    assert shell.types("service", "uninstall")[0] is ExitCode.DELIVERED
    assert shell.told() == ["--user disable --now orchestcode.service", "--user daemon-reload"]
    assert not shell.unit.exists()
    assert not shell.settings.exists()


def test_where_systemd_does_not_work_the_commands_are_printed(shell: Shell) -> None:
    """The files are written all the same."""
    shell.has_systemctl(exit_code=1)
    code, said = shell.types("service", "install")
    assert code is ExitCode.DELIVERED
    assert "Not started: systemctl does not work here (exit code 1)." in said
    assert "\n  systemctl --user enable --now orchestcode.service\n" in said
    assert shell.unit.exists()


def test_a_unit_of_another_home_is_not_replaced(shell: Shell) -> None:
    """The refusal names the unit and the remedy; nothing is changed."""
    shell.has_systemctl(exit_code=0)
    shell.types("service", "install")
    before = shell.unit.read_text()
    shell.environ["ORCHESTCODE_HOME"] = str(shell.folder / "other")
    code, said = shell.types("service", "install")
    assert (code, "is not of this home" in said) == (ExitCode.USAGE, True)
    assert shell.unit.read_text() == before
    assert not (shell.folder / "other" / "service.env").exists()
