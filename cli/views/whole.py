"""Everything that is known of a request, as lines."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from cli.formatting import clean, clean_lines, commit, cost, name
from cli.views.report import check_line, goal_lines, own_reason
from contracts.approvals import Choice
from contracts.planning import TaskSpec
from contracts.request import RequestStatus
from contracts.task import TaskStatus
from domain.request import endings, expected_cost
from domain.request.notes import must_pass
from domain.review.findings import finding_line

_OPTIONS = (
    *("repository", "base", "branch", "checks", "until", "rounds", "deadline_minutes"),
    *("approve", "budget_usd", "on_limit"),
    *("max_parallel", "model", "model_planner", "model_coder", "model_reviewer"),
    *("fallback_model", "effort", "window_tokens", "lane", "untrusted"),
)
_MOST_LINES = 200
_SAID = MappingProxyType(
    {Choice.APPROVE: "approved", Choice.REJECT: "rejected", Choice.REVISE: "sent back"}
)


@dataclass(frozen=True)
class Review:
    """One review as its reviewer handed it in."""

    task: str
    verdict: str
    summary: str


@dataclass(frozen=True)
class Whole:
    """A request with all that is known of it.

    Attributes:
        asked: the workflow's input as it was typed.
        plan: as the planner handed it in; empty where the request is one task without a plan.
    """

    status: RequestStatus
    asked: Mapping[str, Any]
    plan: Sequence[TaskSpec]
    reviews: Sequence[Review]


def lines(whole: Whole) -> list[str]:
    """Return the request, its options, the plan with what became of it, checks, commits."""
    status = whole.status
    words = str(whole.asked.get("request") or status.request)
    return [
        f"{name(status.id)} {status.state}{_because(status.reason)}",
        "",
        *_indented(words),
        "",
        "Options:",
        *_options(whole.asked),
        *_checks_of_settings(status),
        "",
        *goal_lines(status),
        *_plan(whole),
        *_answers(status),
        *_allowed(status),
        *_checks(status),
        *_commits(status),
        f"Cost: {cost(status.cost_usd, status.unpriced_tokens)}",
    ]


def _because(reason: str) -> str:
    return f": {clean(reason, 2_000)}" if reason else ""


def _indented(text: str, indent: str = "  ") -> list[str]:
    return [f"{indent}{line}".rstrip() for line in clean_lines(text, _MOST_LINES)]


def _options(asked: Mapping[str, Any]) -> Iterator[str]:
    for key in _OPTIONS:
        value = asked.get(key)
        if value not in (None, [], ()):
            shown = value if isinstance(value, str) else json.dumps(value)
            yield f"  {key}: {clean(shown, 2_000)}"


def _checks_of_settings(status: RequestStatus) -> list[str]:
    """Return the checks that the request's options do not have."""
    unnamed = status.checks_from != "the request"
    asked = must_pass(status) if unnamed else ""
    return [f"  checks: {clean(asked, 2_000)}"] if asked else []


def _plan(whole: Whole) -> Iterator[str]:
    status = whole.status
    if not status.tasks:
        return
    yield f"Plan: {clean(status.summary, 2_000)}"
    if expected := expected_cost.of_status(status):
        yield f"Expected cost: {clean(expected, 600)}"
    planned = {task.id: task for task in whole.plan}
    for row in status.tasks:
        yield from _task(row, planned.get(row.id))
        for number, review in enumerate(_of(row.id, whole.reviews), start=1):
            yield f"    review {number}: {clean(review.verdict, 40)}"
            yield from _indented(review.summary, "      ")
        yield from (f"    finding {clean(finding_line(each), 1_000)}" for each in row.findings)
    yield ""


def _of(task: str, reviews: Sequence[Review]) -> list[Review]:
    return [review for review in reviews if review.task == task]


def _task(row: TaskStatus, planned: TaskSpec | None) -> Iterator[str]:
    landed = f", landed as {commit(row.commit)}" if row.commit else ""
    after = f", after {', '.join(map(name, row.depends_on))}" if row.depends_on else ""
    yield f"  {name(row.id)} ({row.state}{landed}{after}): {clean(row.title)}"
    kept = f"its last patch: {row.kept}" if row.kept else ""
    reason = own_reason(row)
    yield from (f"    {clean(text, 1_000)}" for text in (reason, kept) if text)
    if planned:
        yield from _promise(planned)
    if row.lane:
        yield f"    lane: {clean(row.lane, 1_000)}"
    yield from (f"    may also change {clean(each, 1_000)}" for each in row.granted)
    yield from (f"    dropped by a person: {clean(each, 1_000)}" for each in row.dropped)
    if row.answer:
        yield "    answer:"
        yield from _indented(row.answer, "      ")


def _promise(planned: TaskSpec) -> Iterator[str]:
    yield "    goal:"
    yield from _indented(planned.goal, "      ")
    yield f"    writes: {', '.join(map(name, planned.writes)) or 'nothing'}"
    yield from (f"    accepted by: {clean(each, 1_000)}" for each in planned.acceptance)


def planned_lines(planned: TaskSpec) -> Iterator[str]:
    """Yield a planned task with its whole goal, its paths and its acceptance commands."""
    after = f" (after {', '.join(map(name, planned.depends_on))})" if planned.depends_on else ""
    yield f"  {name(planned.id)}{after}: {clean(planned.title, 1_000)}"
    yield from _promise(planned)


def _answers(status: RequestStatus) -> Iterator[str]:
    """Yield what people have allowed and refused, oldest first."""
    if not status.answers:
        return
    yield "Answers:"
    for each in status.answers:
        why = f": {clean(each.reason, 400)}" if each.reason else ""
        yield f"  {clean(each.approval)} {_SAID[each.choice]} by {clean(each.by)}{why}"
    yield ""


def _allowed(status: RequestStatus) -> Iterator[str]:
    """Yield the rules that answers have added for the rest of the request."""
    if not status.allowed:
        return
    yield "Allowed for the rest of the request:"
    for rule in status.allowed:
        yield f"  {clean(rule.text, 500)}  by {clean(rule.by)} with {clean(rule.approval)}"
    yield ""


def _checks(status: RequestStatus) -> Iterator[str]:
    if status.checks:
        yield f"{endings.checks_title(status)}:"
        yield from (f"  {check_line(result)}" for result in status.checks)


def _commits(status: RequestStatus) -> Iterator[str]:
    if status.base:
        yield f"Base: {status.base}"
    yield from (f"Landed: {row.commit} {name(row.id)}" for row in status.tasks if row.commit)
    if status.branch and status.commit:
        yield f"Delivered: {status.commit} on branch {clean(status.branch)}"
        yield from _indented(status.diffstat)
