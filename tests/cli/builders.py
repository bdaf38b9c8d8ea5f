"""Values for the tests of the CLI, as a request reports them."""

from cli.snapshot import Snapshot
from contracts import roles
from contracts.agent import AgentStatus
from contracts.approvals import Approval, ApprovalKind
from contracts.checks import CheckResult
from contracts.request import RequestStatus
from contracts.task import TaskState, TaskStatus
from contracts.visibility import RunState

REQUEST_ID = "request/mend-the-shop-1a2b3c"
COMMIT = "3f9c" * 10


def task(
    name: str, state: TaskState = TaskState.PENDING, *after: str, **more: object
) -> TaskStatus:
    """Return a task titled after its name."""
    values = {"id": name, "title": f"Do {name}", "state": state, "depends_on": after, **more}
    return TaskStatus.model_validate(values)


def status(*tasks: TaskStatus, **more: object) -> RequestStatus:
    """Return a running request with these tasks."""
    values = {
        "id": REQUEST_ID,
        "state": RunState.RUNNING,
        "request": "Mend the shop",
        "repository": "/somewhere/shop",
        "tasks": tasks,
        **more,
    }
    return RequestStatus.model_validate(values)


def snapshot(*tasks: TaskStatus, **more: object) -> Snapshot:
    """Return a look at a running request with these tasks, 1.5 s after its start."""
    return Snapshot(status(*tasks, **more), seconds=1.5)


def agent(name: str, role: roles.RoleName = roles.CODER, **more: object) -> AgentStatus:
    """Return an agent in its third turn."""
    values = {
        "role": role,
        "task_ref": name,
        "turns": 3,
        "tokens": 12_345,
        "cost_usd": 0.0123,
        "doing": "run_command python3 -m unittest",
        **more,
    }
    return AgentStatus.model_validate(values)


def approval(name: str = "plan", **more: object) -> Approval:
    """Return a question about the plan."""
    values = {
        "id": name,
        "kind": ApprovalKind.PLAN,
        "what": "carry out a plan of 3 tasks",
        "why": "--approve plan",
        "digest": "0123456789abcdef" * 4,
        **more,
    }
    return Approval.model_validate(values)


def check(exit_code: int | None = 0, **more: object) -> CheckResult:
    """Return the end of a check that took 0.8 s."""
    values = {
        "command": "python3 -m unittest -q",
        "exit_code": exit_code,
        "seconds": 0.8,
        **more,
    }
    return CheckResult.model_validate(values)
