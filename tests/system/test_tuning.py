"""What people tune is changed while a request waits: the request keeps what it pinned.

The new code is a copy of the product with another prompt, tool description, limits, prices and one
more protected path.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from rehearsal.journal import Entry
from tests import journal_checks
from tests.local_deployment import ROOT, LocalDeployment, git
from tests.model_scripts import Task, create, done, play, script, turn

pytestmark = pytest.mark.minutes

LAYERS = ("activities", "contracts", "domain", "infra", "runtime", "workflows")
CHANGES = (
    ("infra/roles/coder.md", "You carry out one task", "You were altered to carry out one task"),
    ("infra/roles/coder.md", "turns: 60", "turns: 1"),
    ("infra/roles/reviewer.md", "You review", "You were altered to review"),
    ("activities/tools/view.py", "Show a file of the repository", "Altered: show a file"),
    ("domain/agent/models.py", '"claude-opus-5-5", 4, 20', '"claude-opus-5-5", 40, 200'),
    ("domain/approvals/runs_code.py", '".envrc .direnv/', '".envrc late.cfg .direnv/'),
    ("domain/limits.py", "approval_seconds=86_400", "approval_seconds=1"),
)
"""File, text that it has once, replacement."""


def altered(folder: Path) -> Path:
    """Make the copy in which everything is tuned otherwise."""
    for layer in LAYERS:
        shutil.copytree(ROOT / layer, folder / layer, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "worker.py", folder)
    for name, old, new in CHANGES:
        file = folder / name
        text = file.read_text("utf-8")
        assert text.count(old) == 1, f"{name} no longer has one {old!r}: adapt this test"
        file.write_text(text.replace(old, new), "utf-8")
    return folder


def configurations(store: str, role: str) -> list[dict[str, Any]]:
    """Return what every conversation of a role began with, as the store holds it."""
    heads = git(Path(store), "for-each-ref", "--format=%(objectname)", "refs/oc/conv").split()
    roots = [git(Path(store), "rev-list", "--max-parents=0", head).strip() for head in heads]
    found = [json.loads(git(Path(store), "show", f"{root}:config.json")) for root in roots]
    return [config for config in found if config["role"] == role]


def cost_usd(entry: Entry, *, factor: int) -> float:
    """Return what a call costs at today's prices times a factor."""
    return journal_checks.microusd(entry) * factor / 1e6


@pytest.mark.system
async def test_a_waiting_request_keeps_the_limits_it_began_with(tmp_path: Path) -> None:
    """Prompt, tools, prices and limits of an agent survive the restart; the next agent begins with
    the new ones; the next call is judged by the new rules.
    """
    task = Task(
        id="a",
        writes=(".envrc", "late.cfg"),
        coder=(
            turn(create(".envrc", "x=1\n")),
            turn(create("late.cfg", "y=1\n")),
            done(),
        ),
    )
    async with LocalDeployment(
        script(play("tuned", task)), environ={"ORCHESTCODE_MODEL": "claude-opus-5-5"}
    ) as own:
        handle = await own.start_request("tuned", own.repository("tuned", {"a": "a\n"}))
        first = await own.waiting(handle)
        await own.kill_worker()
        await own.start_worker(altered(tmp_path / "copy"))
        await handle.signal("approve", first.approvals[0].id)
        second = await own.waiting(handle)
        while second.approvals[0].id == first.approvals[0].id:
            second = await own.waiting(handle)
        await handle.signal("approve", second.approvals[0].id)
        third = await own.waiting(handle)
        while third.approvals[0].id == second.approvals[0].id:
            third = await own.waiting(handle)
        await handle.signal("approve", third.approvals[0].id)
        status = await own.delivered(handle)
        store = str(next(own.settings.stores.glob("*.git")))
        (coder,) = configurations(store, "coder")
        (reviewer,) = configurations(store, "reviewer")
        calls = own.journal(handle.id)

    asked = [each.approvals[0].what for each in (first, second)]
    assert asked == ["edit .envrc", "edit late.cfg"]
    assert (
        "runs when somebody enters the folder with direnv: .envrc, late.cfg"
        in third.approvals[0].risk
    )
    assert "altered" not in coder["system"]
    assert "Altered" not in json.dumps(coder["tools"])
    assert "altered" in reviewer["system"]
    assert "Altered" in json.dumps(reviewer["tools"])
    spent = sum(cost_usd(call, factor=10 if call.role == "reviewer" else 1) for call in calls)
    assert status.cost_usd == pytest.approx(spent, abs=1e-5)
