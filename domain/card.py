"""
The card: what a person sees of a request in the web UI, as markdown.
"""

from collections.abc import Sequence
from types import MappingProxyType

from contracts.approval import Approval
from contracts.request import RequestStatus
from contracts.task import TaskState, TaskStatus
from domain.text import clip, for_people, one_line

_MARKS = MappingProxyType(
    {
        TaskState.PENDING: "·",
        TaskState.RUNNING: "▶",
        TaskState.BLOCKED: "■",
        TaskState.REVIEW: "?",
        TaskState.DONE: "✓",
        TaskState.FAILED: "✗",
        TaskState.CANCELLED: "–",
    }
)
_MOST_BYTES = 18_000


def card(status: RequestStatus) -> str:
    """
    Return the whole card, below the server's limit of 20,000 bytes.
    """
    parts = [
        f"### {status.state.value}{_because(status.reason)}",
        _cell(status.request, 500),
        *(_approval(status.id, approval) for approval in status.approvals),
        _tasks(status.tasks),
        _result(status),
        _refused(status),
    ]
    return clip("\n\n".join(part for part in parts if part), _MOST_BYTES // 3)


def _because(reason: str) -> str:
    return f": {_cell(reason, 300)}" if reason else ""


def _cell(text: str, limit: int) -> str:
    return one_line(text, limit).replace("|", "\\|").replace("`", "'")


def _approval(request_id: str, approval: Approval) -> str:
    command = f'temporal workflow signal -w "{request_id}" --name'
    return "\n".join(
        [
            f"#### Waits for you: {_cell(approval.what, 300)}",
            "",
            f"{_cell(approval.why, 500)}{_risk(approval.risk)}",
            "",
            "```text",
            for_people(approval.detail, 3_000).replace("```", "'''"),
            "```",
            "",
            _how(approval.id),
            "",
            "```text",
            f'{command} approve --input \'{{"approval": "{approval.id}"}}\'',
            f'{command} reject --input \'{{"approval": "{approval.id}", "reason": "..."}}\'',
            "```",
            "",
            f"Digest of what you decide about: `{approval.digest[:16]}`",
        ]
    )


def _how(approval: str) -> str:
    return (
        "Answer here (More Actions, Send a Signal: `approve`, `reject` or `revise`, input "
        f'`{{"approval": "{approval}"}}`) or in a terminal:'
    )


def _risk(risk: str) -> str:
    return f" **Risk:** {_cell(risk, 500)}" if risk else ""


def _tasks(tasks: Sequence[TaskStatus]) -> str:
    if not tasks:
        return ""
    rows = ["| | task | after | state | turns | tokens | cost |", "|-|-|-|-|-|-|-|"]
    for task in tasks:
        state = f"{task.state.value}{_because(task.reason)}"
        rows.append(
            f"| {_MARKS[task.state]} | {task.id}: {_cell(task.title, 80)} "
            f"| {', '.join(task.depends_on)} | {_cell(state, 200)} | {task.turns} "
            f"| {task.tokens} | ${task.cost_usd:.4f} |"
        )
    return "\n".join(rows)


def _result(status: RequestStatus) -> str:
    lines = []
    if status.model:
        lines.append(f"Model: {_cell(status.model, 100)}. Cost: ${status.cost_usd:.4f}.")
    for check in status.checks:
        verdict = "passed" if check.passed else "FAILED"
        lines.append(f"- {verdict}: `{_cell(check.command, 200)}` ({check.seconds:.1f} s)")
    if status.branch and status.commit:
        lines.append(f"Branch `{_cell(status.branch, 200)}` at `{status.commit[:12]}`")
    if status.diffstat:
        lines.append(f"```text\n{for_people(status.diffstat, 1_000)}\n```")
    return "\n".join(lines)


def _refused(status: RequestStatus) -> str:
    if not status.refused_answers:
        return ""
    rows = [
        f"- `{_cell(r.received, 120)}`: {_cell(r.problem, 300)}" for r in status.refused_answers
    ]
    return "\n".join(["Answers that were not taken:", *rows[-5:]])
