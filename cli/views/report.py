"""The report of a request that has ended, and a request's status as a JSON document."""

import re

from cli.formatting import clean, clean_lines, commit, cost, plural, span
from cli.wrapping import prose
from contracts.checks import CheckResult
from contracts.request import RequestStatus
from contracts.task import TaskState, TaskStatus
from contracts.visibility import RunState
from domain.request import endings, expected_cost, goal_words
from domain.review.findings import finding_line
from domain.scheduling.task_state import terminal

_OTHERS_REASON = re.compile(
    r"^(waits for '[^']+', which (?:cannot start because '[^']+' )?[^:']{1,40}): .*", re.DOTALL
)
_SHARED_KEYS = {"id", "state", "reason", "commit"}
_REQUEST_KEYS = _SHARED_KEYS | {
    *("branch", "model", "models", "unpriced_tokens", "request", "repository", "summary", "notes"),
    *("base_problems", "base_passes", "checks_asked", "checks_from", "since", "attempt"),
    *("answer", "follow_ups", "goal", "answers"),
}
_TASK_KEYS = _SHARED_KEYS | {
    *("title", "depends_on", "turns", "tokens", "unpriced_tokens", "rounds", "rounds_left"),
    *("kept", "findings", "no_change", "answer", "left_out", "granted"),
}
_CHECK_KEYS = {"command", "exit_code", "timed_out"}
_APPROVAL_KEYS = {"id", "kind", "what", "why", "risk", "digest"}


def closing(
    status: RequestStatus, *, seconds: float, link: str, checks: bool = True, width: int = 0
) -> list[str]:
    """Return the report of a request that has ended; the link is "" when unknown.

    `checks`: False where they stand above it already. `width`: of the terminal, 0 without one;
    prose is broken between words, commands stay whole.
    """
    first = (*_verdict(status), *goal_lines(status), *_answers(status))
    then = (
        *base_lines(status),
        *(clean(note, 1_000) for note in status.notes),
        *_unfinished_tasks(status),
        *_unchanged(status),
        *_left_out(status),
        *_findings(status),
    )
    last = (_figures(status, seconds), *_expected(status), *kept_lines(status))
    commands = commands_in(status)
    return [
        *prose(first, width, commands=commands),
        *[f"  {line}" for line in clean_lines(status.diffstat)],
        *prose(then, width, commands=commands),
        *(_checks(status) if checks or not status.checks else []),
        *prose(last, width, commands=commands),
        *([f"Details: {link}"] if link else []),
    ]


def commands_in(status: RequestStatus) -> list[str]:
    """Return the commands of git that are shown of a request that has ended."""
    kept = [status.work_command, status.landed_command, *(task.kept for task in status.tasks)]
    return [command for command in kept if command]


def goal_lines(status: RequestStatus) -> list[str]:
    """Return how a request stands with its goal, and what each round came to."""
    told = goal_words.standing(status)
    rounds = [f"  {clean(line, 1_000)}" for line in goal_words.rounds(status)]
    return [f"Goal: {clean(told, 1_000)}", *rounds] if told else []


def base_lines(status: RequestStatus) -> list[str]:
    """Return what the checks came to on the base, before any work."""
    green = [f"`{clean(command)}` passes before we started" for command in status.base_passes]
    return [f"Base: {clean(each)}" for each in (*green, *status.base_problems)]


def _verdict(status: RequestStatus) -> list[str]:
    """Return how it ended, and the branch, which a partly failed request delivers too."""
    told = endings.of_request(status)
    branch = f"branch {clean(status.branch or '')} at {commit(status.commit or '')}"
    delivered = [f"Delivered: {branch}"] if status.branch and status.commit else []
    if status.state is RunState.DONE:
        return delivered or [f"{told.state}, so there is no branch"]
    return [f"{told.state}: {clean(told.cause, 2_000)}", *delivered]


def kept_lines(status: RequestStatus) -> list[str]:
    """Return what was kept of a request that has ended, and what to do; nothing of a good end."""
    told = endings.of_request(status)
    if status.state is RunState.DONE:
        return []
    words = [] if status.commit else [told.kept]
    return [clean(line, 1_000) for line in (*words, told.advice) if line]


def _answers(status: RequestStatus) -> list[str]:
    """Return what the tasks that changed nothing came to: the answer to what was asked."""
    whole = ["Answer:", *_indented(status.answer)] if status.answer else []
    return whole + [
        line
        for task in status.tasks
        if task.answer
        for line in (f"Answer ({task.id}):", *_indented(task.answer))
    ]


def _indented(text: str) -> list[str]:
    return [f"  {line}".rstrip() for line in clean_lines(text, 200)]


def _unfinished_tasks(status: RequestStatus) -> list[str]:
    lines, cause = [], clean(endings.of_request(status).cause, 2_000)
    for task in status.tasks:
        told = endings.of_task(task)
        if task.state is not TaskState.DONE:
            state = told.state if told else task.state.value
            reason = clean(own_reason(task), 1_000)
            # The first line of the report has told it.
            reason = "" if reason and reason in cause else reason
            lines.append(f"Not done: {task.id} ({state}) {reason}".rstrip())
            after = (told.kept, told.advice) if told else ()
            lines += [f"  {clean(each, 1_000)}" for each in after if each]
    return lines


def own_reason(task: TaskStatus) -> str:
    """Return why a task stands so, without what the row of the task says for which it waits."""
    return _OTHERS_REASON.sub(r"\1", task.reason)


def _unchanged(status: RequestStatus) -> list[str]:
    return [
        f"No change: {task.id}: {clean(task.no_change, 1_000)}"
        for task in status.tasks
        if task.no_change
    ]


def _left_out(status: RequestStatus) -> list[str]:
    return [
        f"Left out of what is kept: {task.id}: {clean(task.left_out, 600)}"
        for task in status.tasks
        if task.left_out
    ]


def _findings(status: RequestStatus) -> list[str]:
    lines = [
        f"  {task.id}: {clean(finding_line(finding), 1_000)}"
        for task in status.tasks
        for finding in task.findings
    ]
    return ["Findings of the reviews:", *lines] if lines else []


def _checks(status: RequestStatus) -> list[str]:
    if not status.checks:
        return ["Checks of the merged tree: none were run"] if status.tasks else []
    return [
        f"{endings.checks_title(status)}:",
        *[f"  {check_line(result)}" for result in status.checks],
    ]


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
        f"Cost: {cost(status.cost_usd, status.unpriced_tokens)}",
        f"wall time {span(seconds)}",
        *([f"attempt {status.attempt}"] if status.attempt > 1 else []),
        *([f"{done} of {plural(len(status.tasks), 'task')} done"] if status.tasks else []),
        *([f"model {clean(status.model)}"] if status.model else []),
        *([f"asked for {clean(status.models)}"] if status.models else []),
    ]
    return ", ".join(parts)


def _expected(status: RequestStatus) -> list[str]:
    """Return what the plan was expected to cost, where there was a past to estimate it by."""
    known = status.estimate is not None and status.estimate.past_tasks
    told = clean(expected_cost.of_status(status), 600)
    return [f"Expected cost of the tasks: {told}"] if known else []


def rounds(task: TaskStatus) -> str:
    """Return how often a task was sent back, and how often it still may be: 1, 2 left."""
    if task.rounds_left is None or terminal(task.state):
        return str(task.rounds)
    return f"{task.rounds}, {task.rounds_left} left"


def _estimate(status: RequestStatus) -> dict[str, object] | None:
    found = status.estimate
    if found is None:
        return None
    return {
        "tasks": found.tasks,
        "low_usd": found.low_microusd / 1e6,
        "high_usd": found.high_microusd / 1e6,
        "past_tasks": found.past_tasks,
        "past_usd": found.past_microusd / 1e6,
        "model": found.model,
    }


def document(status: RequestStatus) -> dict[str, object]:
    """Return what `--json` prints of one request.

    Keys may be added, none is renamed; what is not known yet is null, "" or empty.
    """
    return {
        **status.model_dump(mode="json", include=_REQUEST_KEYS),
        "cost_usd": round(status.cost_usd, 6),
        "budget_usd": status.budget_usd,
        "estimate": _estimate(status),
        "tasks": [
            {
                **task.model_dump(mode="json", include=_TASK_KEYS),
                "cost": round(task.cost_usd, 6),
            }
            for task in status.tasks
        ],
        "checks": [
            {
                **check.model_dump(mode="json", include=_CHECK_KEYS),
                "passed": check.passed,
                "seconds": round(check.seconds, 3),
            }
            for check in status.checks
        ],
        "approvals": [
            approval.model_dump(mode="json", include=_APPROVAL_KEYS)
            for approval in status.approvals
        ],
    }
