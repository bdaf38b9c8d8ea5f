"""What `doctor` finds, with the real git, sandbox, server and ports of this machine."""

import io
import json
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cli import doctor
from cli.command import run_command
from cli.context import CliContext
from cli.exit_codes import ExitCode
from infra import probes
from infra.git.command import git_binary
from infra.sandbox import Sandbox
from runtime.settings import DEFAULT_MODEL
from tests.infra.test_route import answering

if TYPE_CHECKING:
    from runtime.services.embedded_server import EmbeddedServer

SECRET = "sk-correct-horse-battery"
REFUSED = '{"type": "error", "error": {"type": "authentication_error", "message": "no such key"}}'
NOT_FOUND = '{"type": "error", "error": {"type": "not_found_error", "message": "no such model"}}'
Doctor = Callable[..., Awaitable[dict[str, dict[str, Any]]]]


@pytest.fixture
def doctor_says(tmp_path: Path) -> Doctor:
    """Run `doctor --json` in a home of its own; return its findings by name.

    The exit code says whether there is a problem, and no output holds the key.
    """

    async def examine(*words: str, **environ: str) -> dict[str, dict[str, Any]]:
        out, err = io.StringIO(), io.StringIO()
        variables = {
            "ORCHESTCODE_HOME": str(tmp_path / "home"),
            "PATH": os.environ["PATH"],
            "ANTHROPIC_API_KEY": SECRET,
            **environ,
        }
        context = CliContext(
            environ=variables, folder=tmp_path, now=lambda: 0.0, stdout=out, stderr=err
        )
        code = await run_command(["doctor"], ["--json", *words], context)
        said = json.loads(out.getvalue())
        problems = [found for found in said["findings"] if found["state"] == "problem"]
        assert said["healthy"] is not bool(problems)
        assert code is (ExitCode.FAILED if problems else ExitCode.DELIVERED)
        assert SECRET not in out.getvalue() + err.getvalue()
        return {found["name"]: found for found in said["findings"]}

    return examine


def states(findings: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Return the state of each finding; machines differ in who else can log in."""
    return {name: found["state"] for name, found in findings.items() if name != "other users"}


async def test_a_machine_that_works_has_no_problem(tmp_path: Path, doctor_says: Doctor) -> None:
    """Everything is tried, a line each; no home is made and no process stays."""
    found = await doctor_says()

    names = "versions git home disk server worker sandbox credentials"
    assert states(found) == dict.fromkeys(names.split(), "ok")
    assert "canary came back clean" in found["sandbox"]["text"]
    assert "ANTHROPIC_API_KEY; not tried" in found["credentials"]["text"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("environ", "name", "said"),
    [
        pytest.param({"ANTHROPIC_API_KEY": ""}, "credentials", "ANTHROPIC_API_KEY", id="no key"),
        pytest.param({"ORCHESTCODE_EFFORT": "x"}, "settings", "ORCHESTCODE_EFFORT", id="a setting"),
        pytest.param({"ORCHESTCODE_HOME": "/etc/passwd/x"}, "home", "of your own", id="no home"),
        pytest.param(
            {"TEMPORAL_ADDRESS": "127.0.0.1:1"}, "server", "unset TEMPORAL_ADDRESS", id="no server"
        ),
    ],
)
async def test_what_keeps_requests_from_working_is_a_problem_with_a_remedy(
    environ: dict[str, str], name: str, said: str, doctor_says: Doctor
) -> None:
    """Exit code 1, and the finding alone says what to do."""
    found = await doctor_says(**environ)

    assert [each for each, state in states(found).items() if state == "problem"] == [name]
    assert said in f"{found[name]['text']} {found[name]['remedy']}"


async def test_a_home_that_others_can_write_is_a_problem(
    tmp_path: Path, doctor_says: Doctor
) -> None:
    """What needs the home is then not tried."""
    (tmp_path / "home").mkdir()
    (tmp_path / "home").chmod(0o777)

    found = await doctor_says()

    assert "chmod go-w" in found["home"]["text"]
    assert "sandbox" not in found


async def test_a_port_that_is_wanted_and_taken_is_a_problem(doctor_says: Doctor) -> None:
    """The variable and the port are named."""
    async with answering("200 OK") as port:
        found = await doctor_says(ORCHESTCODE_TEMPORAL_PORT=str(port))

    assert found["server"]["text"].startswith(f"port {port} (ORCHESTCODE_TEMPORAL_PORT) is taken")


@pytest.mark.system
async def test_a_server_that_runs_is_asked(
    temporal_server: "EmbeddedServer", doctor_says: Doctor
) -> None:
    """Its address and how many requests are open."""
    found = await doctor_says(TEMPORAL_ADDRESS=temporal_server.address)

    assert found["server"]["text"].startswith(f"Temporal answers at {temporal_server.address}")


async def test_a_sandbox_that_does_not_hold_is_a_problem(
    tmp_path: Path, doctor_says: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a program for it no command would run."""
    monkeypatch.setattr(probes, "Sandbox", lambda: Sandbox(tmp_path / "bwrap"))

    found = await doctor_says()

    assert found["sandbox"]["state"] == "problem"
    assert "bubblewrap" in found["sandbox"]["text"]


async def test_an_old_git_is_a_problem(
    tmp_path: Path, doctor_says: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest release that works is named."""
    old = tmp_path / "bin" / "git"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho git version 2.30.1\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(old.parent), prepend=os.pathsep)
    monkeypatch.setattr(probes, "git_binary", git_binary.__wrapped__)

    found = await doctor_says()

    assert shutil.which("git") == str(old)
    assert found["git"]["text"] == "git 2.30.1 is too old: install 2.39 or newer"


async def test_a_disk_with_little_room_is_advice_and_a_full_one_a_problem(
    doctor_says: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what is free where the home lies."""
    for free, state in ((1_000_000_000, "advice"), (40_000_000, "problem")):
        monkeypatch.setattr(doctor, "free_bytes", lambda _, free=free: free)
        found = await doctor_says()
        assert found["disk"]["state"] == state
        assert "ORCHESTCODE_HOME" in found["disk"]["remedy"]


@pytest.mark.parametrize(
    ("status", "body", "state", "said"),
    [
        ("200 OK", f'{{"id": "{DEFAULT_MODEL}", "type": "model"}}', "ok", "the service takes them"),
        ("401 Unauthorized", REFUSED, "problem", "no such key"),
        ("404 Not Found", NOT_FOUND, "problem", f"has no model {DEFAULT_MODEL}"),
        ("404 Not Found", "nothing here", "ok", "no list of models"),
    ],
)
async def test_the_service_is_asked_only_when_that_is_wanted(
    status: str, body: str, state: str, said: str, doctor_says: Doctor
) -> None:
    """--online has it judge the credentials and the models of all roles."""
    async with answering(status, body, "application/json") as port:
        url = f"http://127.0.0.1:{port}"
        offline = await doctor_says(ANTHROPIC_BASE_URL=url)
        found = await doctor_says("--online", ANTHROPIC_BASE_URL=url)

    assert offline["credentials"]["state"] == "ok"
    assert found["credentials"]["state"] == state
    assert said in found["credentials"]["text"]


def test_findings_are_lines_with_the_remedy_below() -> None:
    """And a last line that says how many problems there are."""
    found = [doctor.Probe("git", "ok", "git 2"), doctor.Probe("disk", "problem", "full", "rm")]

    assert doctor.shown(found, width=0, program="orchestcode") == [
        "ok       git           git 2",
        "problem  disk          full",
        "                       -> rm",
        "1 problem found.",
    ]
