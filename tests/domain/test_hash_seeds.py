"""Replay: the same values give the same decisions in every process, whatever its hash seed."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
from contracts.approvals import Approval, ApprovalKind, Choice
from contracts.planning import PlanDraft, TaskSpec
from contracts.task import TaskState
from domain import limits, merge_queue
from domain.approvals import inbox
from domain.planning import plan
from domain.review.risk import PatchFile, risks
from domain.scheduling import ready as schedule

tasks = [
    TaskSpec(id=key, title=key, goal=key, depends_on=needs, writes=writes, acceptance=("true",))
    for key, needs, writes in [
        ("deploy", ("api", "docs"), ("deploy/",)),
        ("api", (), ("src/", "docs/api.md")),
        ("docs", (), ("docs/",)),
        ("tests", ("api",), ("tests/",)),
        ("lint", (), ("src/*.py", "tests/")),
        ("bench", (), ("bench/",)),
    ]
]
valid = plan.validate(PlanDraft(summary="s", tasks=tuple(tasks)), limits.PLAN)
print(valid)
circle = [task.model_copy(update={"depends_on": ("deploy", "tests")}) for task in tasks]
print(plan.validate(PlanDraft(summary="s", tasks=tuple(circle[:1] + circle[3:])), limits.PLAN))
print(plan.validate(PlanDraft(summary="s", tasks=tuple(tasks + tasks[2:])), limits.PLAN))
nodes = [
    schedule.TaskNode(
        task.id,
        task.depends_on,
        TaskState.FAILED if task.id == "api" else TaskState.PENDING,
        task.size,
    )
    for task in valid.plan.tasks
]
print(schedule.ready(nodes, running=0, width=3), schedule.ranks(nodes))
print(schedule.blocked(nodes))
print(risks(
    ["src/auth.py", "go.mod", "billing/a.py"], added=900, deleted=1,
    outside=["z", "a"], deleted_tests=["t"],
    files=[PatchFile(path=name, binary=True) for name in ("z.bin", "a.bin")],
))
print(merge_queue.conclude(merge_queue.QueueState(waiting=9), [2, 1], [7, 4]))
desk = inbox.ApprovalInbox()
for key in ("plan", "review/a/0", "delivery"):
    asked = Approval(id=key, kind=ApprovalKind.PLAN, what=key, why="w", digest="d")
    desk = desk.open(asked, now=1.0)
print(desk.take({"reason": "x", "by": "y"}, Choice.APPROVE))
"""


def _output(seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def test_every_decision_is_the_same_under_every_hash_seed() -> None:
    """Plans, problems, schedules, risks and desks are equal to the letter under five seeds."""
    outputs = [_output(seed) for seed in "01234"]

    assert outputs[0].count("\n") == 8
    assert outputs == outputs[:1] * 5
