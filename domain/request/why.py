"""Why a request stands as it does, in a paragraph: the cause first, then what to do."""

from collections.abc import Mapping, Sequence

from contracts.checks import CheckResult
from contracts.request import RequestStatus
from contracts.task import TaskState, TaskStatus
from contracts.visibility import RunState
from domain.check_results import how_it_ended
from domain.request import endings, goal_words
from domain.text import clip, for_people, one_line

_OUTPUT_LINES = 8
_MOST_TASKS = 8
_ENDED = (RunState.DONE, RunState.FAILED, RunState.CANCELLED)
_AT_WORK = (TaskState.RUNNING, TaskState.REVIEW)


def explained(
    status: RequestStatus,
    *,
    waiting: str,
    doing: Mapping[str, str],
    red: Mapping[str, Sequence[CheckResult]],
) -> list[str]:
    """Return the paragraph as lines; output of a command follows on lines of its own.

    Args:
        status: of the request.
        waiting: since when state and reason are as they are, as "since …"; "" when not known.
        doing: what agents at work do, by task.
        red: the checks that fail on the last patch of a task that failed.
    """
    if status.state in _ENDED:
        return _ended(status, red)
    if status.approvals:
        return _asks(status, waiting)
    return _goes_on(status, waiting, doing)


def _asks(status: RequestStatus, waiting: str) -> list[str]:
    """Return what it waits for of a person; the commands that answer stand with `status`."""
    asked = [
        f"{one_line(each.id)}: {one_line(each.what, 300)}. {_begun(_sentence(each.why, 600))}"
        f"{f' Risk: {_sentence(each.risk, 400)}' if each.risk else ''}"
        for each in status.approvals
    ]
    return [f"It waits for your answer{_blank(waiting)}: {' '.join(asked)}"]


def _begun(sentence: str) -> str:
    return f"{sentence[:1].upper()}{sentence[1:]}"


def _goes_on(status: RequestStatus, waiting: str, doing: Mapping[str, str]) -> list[str]:
    reason = one_line(status.reason, 1_500) or "it works"
    if status.state is not RunState.RUNNING:
        return [f"It cannot go on{_blank(waiting)} ({status.state}): {_ended_sentence(reason)}"]
    rows = [row for row in status.tasks if row.state in _AT_WORK or row.state is TaskState.BLOCKED]
    tasks = [
        f"{row.id}: {one_line(doing.get(row.id) or row.reason or row.state.value, 200)}"
        for row in rows[:_MOST_TASKS]
    ]
    at_work = f" {'; '.join(tasks)}." if tasks else ""
    goal = f" {_goal(status)}" if status.goal else ""
    return [f"Nothing keeps it from going on{_blank(waiting)}: {reason}.{goal}{at_work}"]


def _goal(status: RequestStatus) -> str:
    """Return how it stands with its goal, and what the last round came to."""
    told = (goal_words.standing(status), *goal_words.rounds(status)[-1:])
    return " ".join(f"{_sentence(each[:1].upper() + each[1:], 600)}" for each in told)


def _ended(status: RequestStatus, red: Mapping[str, Sequence[CheckResult]]) -> list[str]:
    told = endings.of_request(status)
    if status.state is RunState.DONE:
        goal = _goal(status) if status.goal else ""
        parts = (_ended_sentence(told.state), told.kept, goal)
        return [" ".join(part for part in parts if part)]
    cause = _ended_sentence(clip(for_people(told.cause, 4_000), 4_000))
    lines = [f"{told.state}: {cause}"]
    lines += _outputs(status.checks)
    lines += [f"  {_sentence(each, 600)}" for each in goal_words.rounds(status)]
    for row in status.tasks:
        lines += _task(row, red.get(row.id, ()), cause)
    return [*lines, *(part for part in (told.kept, told.advice) if part)]


def _task(row: TaskStatus, red: Sequence[CheckResult], before: str) -> list[str]:
    """Return why a task failed: the command, its exit code and its output where one is red."""
    told = endings.of_task(row)
    if row.state is not TaskState.FAILED or told is None:
        return []
    own = for_people(told.cause, 2_000)
    # The line of the request may have told it.
    cause = "" if red and own in before else f" {_ended_sentence(own)}"
    return [
        f"Task {row.id}:{cause}",
        *_outputs(red),
        *([f"  {told.kept}"] if told.kept else []),
    ]


def _outputs(results: Sequence[CheckResult]) -> list[str]:
    """Return each red command with its exit code and the end of its output."""
    lines = []
    for result in results:
        if not result.passed:
            lines.append(f"  $ {one_line(result.command, 300)}  ({how_it_ended(result)})")
            tail = [line for line in for_people(result.tail).splitlines() if line.strip()]
            lines += [f"  | {line.rstrip()}" for line in tail[-_OUTPUT_LINES:]]
    return lines


def _sentence(text: str, limit: int) -> str:
    return _ended_sentence(one_line(text, limit))


def _ended_sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?", "…", "]")) else f"{text}."


def _blank(text: str) -> str:
    return f" {text}" if text else ""
