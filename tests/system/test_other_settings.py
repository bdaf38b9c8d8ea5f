"""`run` beside a worker with other settings: what it would ignore is said, never a secret."""

from pathlib import Path

import pytest

from runtime.records import WorkerRecord
from tests.local_deployment import LocalDeployment, git
from tests.model_scripts import play, writes_file

PLAYS = [play("shell-without-key", writes_file("only", "own.txt", "own\n"))]
SECRET = "sk-of-another-account"


async def _listed(deployment: LocalDeployment) -> set[str]:
    """Return the names of all requests, whose ages change."""
    lines = (await deployment.starter("list")).stdout.splitlines()
    return {line.split()[0] for line in lines}


@pytest.mark.parametrize(
    ("name", "value"),
    [("ANTHROPIC_API_KEY", SECRET), ("ORCHESTCODE_PRICES", '{"m": {"input": 1, "output": 5}}')],
)
async def test_what_the_worker_would_ignore_is_refused(
    deployment: LocalDeployment, name: str, value: str
) -> None:
    """The sentence names the setting, not its value, and says how to go on; nothing is started."""
    folder, before = deployment.folder, await _listed(deployment)
    refused = await deployment.starter(
        "run", "--repo", str(folder), "mend it", environ={name: value}
    )
    assert refused.returncode == 2, refused
    assert f"other settings than this shell's: {name}." in refused.stderr
    assert "stop`, then run again" in refused.stderr
    assert value not in refused.stderr + refused.stdout
    assert await _listed(deployment) == before


async def test_a_shell_without_settings_uses_the_workers(deployment: LocalDeployment) -> None:
    """Without a key in the shell the worker's counts, and `run` says so by name; the record of the
    worker is for its owner alone and holds no value.
    """
    folder = deployment.repository("shell-without-key", {"README.md": "A small thing.\n"})
    without = {"ANTHROPIC_API_KEY": "", "ANTHROPIC_BASE_URL": ""}
    words = ("run", "--repo", str(folder), "--branch", "whole", "Shell without key")
    ran = await deployment.starter(*words, environ=without)
    assert ran.returncode == 0, ran
    assert "the running worker's count: ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL" in ran.stderr
    assert git(folder, "show", "whole:own.txt") == "own"

    record: Path = WorkerRecord.file(deployment.settings)
    assert record.stat().st_mode & 0o777 == 0o600
    assert deployment.settings.model_base_url
    assert deployment.settings.model_base_url not in record.read_text()
