"""The demonstration's material: the script and the sample repository fit together."""

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from activities.tools.edit import EditArguments
from activities.tools.run_command import RunCommandArguments
from activities.tools.search import SearchArguments
from activities.tools.view import ViewArguments
from contracts.planning import PlanDraft
from contracts.review import ReviewFinish
from contracts.tools import CoderFinish
from examples.demo.deployment import HERE, demo_deployment, sample_repository
from runtime.version import ROOT

SCRIPT = json.loads((HERE / "script.json").read_text(encoding="utf-8"))
ARGUMENTS: dict[str, type[BaseModel]] = {
    "view": ViewArguments,
    "search": SearchArguments,
    "edit": EditArguments,
    "run_command": RunCommandArguments,
}
FINISH: dict[str, type[BaseModel]] = {
    "planner": PlanDraft,
    "coder": CoderFinish,
    "reviewer": ReviewFinish,
}


def calls(role: str, tool: str = "*") -> Iterator[dict[str, Any]]:
    """Yield the calls of all casts of a role in order."""
    for cast in SCRIPT["casts"]:
        for turn in cast["turns"] if cast["match"]["role"] == role else ():
            yield from (call for call in turn["call"] if tool in ("*", call["tool"]))


def unittest(folder: Path) -> int:
    """Run the sample repository's tests and return the exit code."""
    words = [sys.executable, "-m", "unittest", "-q"]
    return subprocess.run(words, cwd=folder, capture_output=True, check=False).returncode


@pytest.mark.parametrize("role", list(FINISH))
def test_every_call_has_arguments_that_its_tool_takes(role: str) -> None:
    """The script's calls fit the tools' schemas, the last one of each cast finishes its role's
    work.
    """
    for call in calls(role):
        kind = FINISH[role] if call["tool"] == "finish" else ARGUMENTS[call["tool"]]
        kind.model_validate(call["input"])
    ends = [
        c["turns"][-1]["call"][-1]["tool"] for c in SCRIPT["casts"] if c["match"]["role"] == role
    ]
    assert set(ends) == {"finish"}


def test_the_plan_has_two_tasks_at_once_and_one_after() -> None:
    """Three tasks; two depend on nothing, the third on one of them; each has a coder and a
    reviewer.
    """
    finish = next(calls("planner", "finish"))
    plan = PlanDraft.model_validate(finish["input"])

    assert [bool(task.depends_on) for task in plan.tasks] == [False, False, True]
    for role in ("coder", "reviewer"):
        cast = {one["match"].get("task") for one in SCRIPT["casts"] if one["match"]["role"] == role}
        assert cast == {task.id for task in plan.tasks}


def test_the_edits_turn_a_failing_suite_into_a_passing_one(tmp_path: Path) -> None:
    """The sample's tests fail before the scripted edits and pass after them, and the tasks' own
    acceptance commands with them; every text to replace occurs exactly once.
    """
    shop = sample_repository(tmp_path / "shop")
    assert unittest(shop) != 0

    for call in calls("coder", "edit"):
        edit = EditArguments.model_validate(call["input"])
        path = shop / edit.path
        if edit.command == "create":
            assert not path.exists()
            path.write_text(edit.file_text or "", encoding="utf-8")
        else:
            text = path.read_text(encoding="utf-8")
            assert text.count(edit.old_str or "") == 1
            path.write_text(text.replace(edit.old_str or "", edit.new_str or ""), encoding="utf-8")

    assert unittest(shop) == 0
    for task in next(calls("planner", "finish"))["input"]["tasks"]:
        for command in task["acceptance"]:
            subprocess.run(["bash", "-c", command], cwd=shop, check=True, capture_output=True)


def test_the_sample_repository_is_clean_and_has_one_commit(tmp_path: Path) -> None:
    """It does not depend on the person's git configuration, and nothing in it is uncommitted."""
    shop = sample_repository(tmp_path / "shop")

    def git(*words: str) -> str:
        ran = subprocess.run(
            ["git", "-C", str(shop), *words], check=True, capture_output=True, text=True
        )
        return ran.stdout.strip()

    assert git("status", "--porcelain") == ""
    assert git("rev-list", "--count", "main") == "1"


@pytest.mark.parametrize("kept", [False, True])
def test_the_stage_leaves_nothing_unless_it_is_to_be_kept(tmp_path: Path, *, kept: bool) -> None:
    """The rehearsal server answers while the stage stands, with an environment of its own; then
    process and folder are gone, or the folder that was named stays.
    """
    keep = tmp_path / "my demo" if kept else None
    parent = tmp_path / ".orchestcode-demo"
    before = {"PATH": "/bin", "ANTHROPIC_AUTH_TOKEN": "theirs", "TEMPORAL_ADDRESS": "there:1"}

    with demo_deployment(parent, before, keep=keep) as stage:
        assert stage.environ["ANTHROPIC_BASE_URL"].startswith("http://127.0.0.1:")
        assert "127.0.0.1" in stage.environ["NO_PROXY"]
        assert not {"ANTHROPIC_AUTH_TOKEN", "TEMPORAL_ADDRESS"} & stage.environ.keys()
        assert stage.environ["PATH"] == "/bin"

    assert stage.folder.exists() is kept
    assert not parent.exists()
    assert stage.folder == keep or not kept


def test_the_demonstration_is_kept_in_a_folder_that_make_names(tmp_path: Path) -> None:
    """`make demo KEEP=FOLDER` hands the folder on; one that holds something is refused unharmed."""
    (tmp_path / "mine").touch()
    words = ["make", "--no-print-directory", "-n", "demo", f"KEEP={tmp_path}"]
    planned = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    command = shlex.split(planned.splitlines()[-1])

    assert command[1:] == ["-m", "examples.demo", "--keep", str(tmp_path)]
    ran = subprocess.run(
        [sys.executable, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    assert "name a folder that is new, or empty" in ran.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]
