"""A request's end, or its present standing, as plain lines and as a JSON document."""

from cli.formatting import clean, clean_lines, commit, money, plural, span
from contracts.checks import CheckResult
from contracts.request import RequestStatus
from contracts.task import TaskState, TaskStatus
from contracts.visibility import RunState


def closing(status: RequestStatus, *, seconds: float, link: str) -> list[str]:
    """
    Return the report of a request that has ended.

    Args:
        status: its last.
        seconds: wall time from its start to its end.
        link: its page in the web UI, "" when unknown.
    """
    return [
        *_verdict(status),
        *[f"  {line}" for line in clean_lines(status.diffstat)],
        *_tasks_left(status),
        *_checks(status),
        _figures(status, seconds),
        *([f"Details: {link}"] if link else []),
    ]


def _verdict(status: RequestStatus) -> list[str]:
    """Return how it ended, and the branch: also of a failed request, when part of it was green."""
    delivered = []
    if status.branch and status.commit:
        delivered = [f"Delivered: branch {clean(status.branch)} at {commit(status.commit)}"]
    if status.state is RunState.DONE:
        return delivered or ["Done: the request needed no change, so there is no branch"]
    said = "Cancelled" if status.state is RunState.CANCELLED else "Failed"
    return [f"{said}: {clean(status.reason or 'no reason was given', 1_000)}", *delivered]


def _tasks_left(status: RequestStatus) -> list[str]:
    left = [task for task in status.tasks if task.state is not TaskState.DONE]
    return [f"Not done: {task.id} ({task.state}) {clean(task.reason)}".rstrip() for task in left]


def _checks(status: RequestStatus) -> list[str]:
    if not status.checks:
        return ["Checks of the merged tree: none were run"] if status.tasks else []
    return ["Checks of the merged tree:", *[f"  {check_line(result)}" for result in status.checks]]


def check_line(result: CheckResult) -> str:
    """Return one check with its exit code and time; a failed one shows the end of its output."""
    ended = "time limit" if result.timed_out else f"exit {result.exit_code}"
    if result.exit_code is None and not result.timed_out:
        ended = "ended by a signal"
    line = f"{ended}  {clean(result.command)}  {span(result.seconds)}"
    last = clean_lines(result.tail)[-1:] if not result.passed else []
    return line + (f"  ({last[0].strip()})" if last and last[0].strip() else "")


def _figures(status: RequestStatus, seconds: float) -> str:
    done = sum(task.state is TaskState.DONE for task in status.tasks)
    parts = [
        f"Cost: {money(status.cost_usd)}",
        f"wall time {span(seconds)}",
        *([f"{done} of {plural(len(status.tasks), 'task')} done"] if status.tasks else []),
        *([f"model {clean(status.model)}"] if status.model else []),
    ]
    return ", ".join(parts)


def document(status: RequestStatus) -> dict[str, object]:
    """
    Return what `--json` prints of one request.

    Keys: id, state, reason, branch, commit, cost_usd, model, request, repository, summary;
    tasks (each: id, title, state, reason, depends_on, turns, tokens, cost in US dollars, rounds,
    commit); checks (each: command, passed, exit_code, seconds, timed_out) of the merged tree;
    approvals (each: id, kind, what, why, risk, digest) that wait for a person. Keys may be
    added, none is renamed; what is not known yet is null, "" or empty.
    """
    return {
        "id": status.id,
        "state": status.state.value,
        "reason": status.reason,
        "tasks": [_task_document(task) for task in status.tasks],
        "branch": status.branch,
        "commit": status.commit,
        "checks": [_check_document(result) for result in status.checks],
        "cost_usd": round(status.cost_usd, 6),
        "model": status.model,
        "request": status.request,
        "repository": status.repository,
        "summary": status.summary,
        "approvals": [
            {
                "id": approval.id,
                "kind": approval.kind.value,
                "what": approval.what,
                "why": approval.why,
                "risk": approval.risk,
                "digest": approval.digest,
            }
            for approval in status.approvals
        ],
    }


def _task_document(task: TaskStatus) -> dict[str, object]:
    return {
        "id": task.id,
        "title": task.title,
        "state": task.state.value,
        "reason": task.reason,
        "depends_on": list(task.depends_on),
        "turns": task.turns,
        "tokens": task.tokens,
        "cost": round(task.cost_usd, 6),
        "rounds": task.rounds,
        "commit": task.commit,
    }


def _check_document(result: CheckResult) -> dict[str, object]:
    return {
        "command": result.command,
        "passed": result.passed,
        "exit_code": result.exit_code,
        "seconds": round(result.seconds, 3),
        "timed_out": result.timed_out,
    }
