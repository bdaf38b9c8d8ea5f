"""Every recorded history replays: the promise to requests that are open while the code changes.

Every history under every seed, and every history cut: ORCHESTCODE_REPLAY_ALL=1.
"""

import ast
import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHistory

from tests.local_deployment import ROOT
from tests.replay.record import HISTORIES, traces
from tests.replay.replaying import read, replayed, replayer

SEEDS = 20
ALL = bool(os.environ.get("ORCHESTCODE_REPLAY_ALL"))
CORE = ("happy", "approved", "cancelled", "withdrawn", "continued-long", "evicted", "rejected")
"""The cases that are replayed under all seeds and cut at every workflow task in each suite."""
WHOLE_SEEDS = 2
"""Under so many seeds every case is replayed in each suite."""
SHORT_SEEDS = 4
"""So many seeds run with `make test`, the others with `make test-long`."""
VENDORS = ("activities", "infra", "anthropic", "git", "structlog")
_TELLS = '        await self._reporter.set(TaskState.RUNNING, "in the merge queue")\n'
_WAITS = "        await workflow.wait_condition(lambda: queued.id in self._verdicts)\n"
_READS = '        await self._reporter.set(TaskState.REVIEW, "the reviewer reads the patch")\n'
_TIMER = "await workflow.sleep(0.01)"
PLANTS = {
    # What is changed (file, old text, new text), and a run that went through it.
    "reordered": (
        [("landing.py", _TELLS, ""), ("landing.py", _WAITS, _TELLS + _WAITS)],
        "SubtaskWorkflow/happy-one",
    ),
    "left out": ([("reviewing.py", _READS, "")], "SubtaskWorkflow/happy-one"),
    "another activity": (
        [
            (
                "tool_calls.py",
                "wire.effect(pair[0]) is Effect.READ",
                "False",
            )
        ],
        "AgentWorkflow/reworked-planner-1",
    ),
    "a timer more": (
        [("merge_queue.py", "self._rounds += 1\n", f"self._rounds += 1\n        {_TIMER}\n")],
        "MergeQueueWorkflow/happy",
    ),
    "a timer before": (
        [
            (
                "request.py",
                "        landed = await self._verify",
                f"        {_TIMER}\n        landed = await self._verify",
            )
        ],
        "RequestWorkflow/happy",
    ),
}
"""Changes that must not be made while requests are open."""


def test_every_recorded_history_replays(cases: list[str]) -> None:
    """Every workflow of the worker is recorded, along each of its main paths."""
    assert {name.split("/")[0] for name in cases} == _of_the_worker()
    requests = {name.split("/")[1] for name in cases if name.startswith("RequestWorkflow/")}
    assert requests >= {
        *("happy", "reworked", "red", "evicted", "failed", "fallback", "refused", "mistyped"),
        *("approved", "rejected", "revised", "asked", "noted", "cancelled", "continued"),
        *("withdrawn", "happy-before-withdrawal", "told", "resumed-run2", "retried-run2"),
        *("windowed", "taken", "stuck", "replanned"),
    }
    assert {"AgentWorkflow/continued-long-coder-1-run1", "MergeQueueWorkflow/continued-run1"} <= {
        *cases
    }


def _of_the_worker() -> set[str]:
    """The worker's workflows, read from its source: its import would load every vendor."""
    tree = ast.parse((ROOT / "worker.py").read_text("utf-8"))
    (listed,) = [
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "WORKFLOWS"
    ]
    assert isinstance(listed, ast.Tuple)
    return {ast.unparse(each) for each in listed.elts}


@pytest.fixture(scope="module", name="cases")
def _cases() -> list[str]:
    """Every recorded case."""
    return [f"{file.parent.name}/{file.stem}" for file in sorted(HISTORIES.rglob("*.json"))]


def test_histories_hold_nothing_of_the_recording_machine(cases: list[str]) -> None:
    """No history names the machine on which it was recorded."""
    for file in HISTORIES.rglob("*.json"):
        assert traces(file.read_text("utf-8")) == [], file


@pytest.mark.minutes
async def test_a_history_cut_at_every_task_replays() -> None:
    """A history replays from its start to each of its workflow tasks, as after a crash there."""
    cuts = [
        cut
        for name, history in read(HISTORIES)
        if ALL or _is_core(name)
        for cut in _cuts(name, history)
    ]

    assert len(cuts) > 200
    assert await replayed(replayer(), cuts) == {}


def _is_core(name: str) -> bool:
    return name.split("/")[1].startswith(CORE)


def _cuts(name: str, history: WorkflowHistory) -> Iterator[tuple[str, WorkflowHistory]]:
    for place, event in enumerate(history.events):
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED and place > 2:
            upto = history.events[: place + 1]
            yield f"{name} cut at {place + 1}", WorkflowHistory(history.workflow_id, upto)


class Ahead:
    """Replays under each seed, the next one begun while one is looked at."""

    def __init__(self, folder: Path, cases: list[str]) -> None:
        self._folder = folder
        self._cases = cases
        self._pool = ThreadPoolExecutor(2)
        self._begun: dict[int, Future[dict[str, Any]]] = {}

    def cases(self, seed: int) -> list[str]:
        """The cases that a seed replays."""
        return [name for name in self._cases if ALL or seed < WHOLE_SEEDS or _is_core(name)]

    def said(self, seed: int) -> dict[str, Any]:
        """What the process of a seed printed."""
        last = SHORT_SEEDS if seed < SHORT_SEEDS else SEEDS
        for each in (seed, seed + 1):
            if each < last and each not in self._begun:
                self._begun[each] = self._pool.submit(self._replay, each)
        return self._begun[seed].result()

    def close(self) -> None:
        """Wait for what was begun."""
        self._pool.shutdown(cancel_futures=True)

    def _replay(self, seed: int) -> dict[str, Any]:
        folder = self._folder / str(seed)
        for name in self.cases(seed):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.json").symlink_to(HISTORIES / f"{name}.json")
        return _in_a_process(folder, seed=seed, without=VENDORS)


@pytest.fixture(scope="module", name="ahead")
def _ahead(cases: list[str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ahead]:
    """The replays of this module."""
    with contextlib.closing(Ahead(tmp_path_factory.mktemp("seeds"), cases)) as ahead:
        yield ahead


@pytest.mark.parametrize(
    "seed",
    [
        *range(SHORT_SEEDS),
        *(pytest.param(seed, marks=pytest.mark.minutes) for seed in range(SHORT_SEEDS, SEEDS)),
    ],
)
def test_worker_settings_do_not_change_replay(seed: int, ahead: Ahead) -> None:
    """Every history replays in any order of sets, silently, and without any vendor."""
    some, said = ahead.cases(seed), ahead.said(seed)

    assert said["failures"] == {}
    assert said["replayed"] == some
    assert said["lines"] == []
    assert said["loaded"] == []


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_change_of_command_order_fails_replay(plant: str, tmp_path: Path) -> None:
    """A workflow that was changed without a patch fails to replay what it did before."""
    changes, case = PLANTS[plant]
    root = _planted(tmp_path / "root", changes)
    histories = tmp_path / "histories" / case.split("/")[0]
    histories.mkdir(parents=True)
    shutil.copy(HISTORIES / f"{case}.json", histories)
    said = _in_a_process(histories.parent, root=root)

    assert list(said["failures"]) == [case]
    assert "NondeterminismError" in said["failures"][case]
    assert "[TMPRL1100]" in said["failures"][case]


def _planted(root: Path, changes: list[tuple[str, str, str]]) -> Path:
    """A copy of the product with changed workflows."""
    root.mkdir()
    for room in ("contracts", "domain", "runtime", "tests"):
        (root / room).symlink_to(ROOT / room)
    shutil.copytree(ROOT / "workflows", root / "workflows")
    for file, old, new in changes:
        path = root / "workflows" / file
        text = path.read_text("utf-8")
        assert text.count(old) == 1, f"{file} no longer has one {old!r}"
        path.write_text(text.replace(old, new), "utf-8")
    return root


def _in_a_process(
    *folders: Path, seed: int = 0, without: tuple[str, ...] = (), root: Path = ROOT
) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.replay.replaying", *map(str, folders)]
    command += [word for name in without for word in ("--without", name)]

    environ = {**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command, cwd=root, env=environ, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
