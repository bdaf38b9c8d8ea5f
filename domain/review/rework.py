"""How often a task goes back to its agent, and what the agent is told."""

from dataclasses import dataclass, replace
from enum import StrEnum

from contracts import roles
from contracts.checks import CheckResult, ChecksReport
from contracts.endings import TaskEnding
from contracts.limits import RequestLimits
from contracts.merge_queue import Eviction, MergeVerdict
from contracts.review import ReviewItem
from domain.check_results import how_it_ended
from domain.text import clip, listing

_MESSAGE_CHARS = 16_000


class Cause(StrEnum):
    """Why a task goes back."""

    PATCH = "patch"
    CHECKS = "checks"
    REVIEW = "review"
    PERSON = "a person"
    QUEUE = "merge queue"
    ANSWER = "an answer"
    """To what its agent needs to go on."""


@dataclass(frozen=True)
class Rounds:
    """How often a task went back: for checks and review, the queue, a person, its patch's form."""

    own: int = 0
    evictions: int = 0
    asked: int = 0
    forms: int = 0
    answered: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.own + self.evictions + self.asked + self.forms + self.answered

    def left(self, limits: RequestLimits) -> int:
        """Return how often the task may still go back for checks or review."""
        return limits.rework_rounds - self.own


def review_cause(item: ReviewItem) -> Cause:
    """Return who sent a patch back from its review: the reviewer, or a person by their name."""
    return Cause.REVIEW if item.decided_by == roles.REVIEWER else Cause.PERSON


def next_round(rounds: Rounds, cause: Cause, limits: RequestLimits) -> Rounds | None:
    """Return the count after one more round, None when the task has had its share."""
    if cause is Cause.QUEUE:
        more = replace(rounds, evictions=rounds.evictions + 1)
        return more if more.evictions <= limits.evictions else None
    if cause is Cause.ANSWER:
        more = replace(rounds, answered=rounds.answered + 1)
        return more if more.answered <= limits.answers else None
    if cause is Cause.PERSON and limits.person_rounds:
        more = replace(rounds, asked=rounds.asked + 1)
        return more if more.asked <= limits.person_rounds else None
    if cause is Cause.PATCH and rounds.forms < limits.form_rounds:
        return replace(rounds, forms=rounds.forms + 1)
    more = replace(rounds, own=rounds.own + 1)
    return more if more.own <= limits.rework_rounds else None


def told(message: str | None, rounds: Rounds, limits: RequestLimits) -> str | None:
    """Return what an agent is told when it goes back, with how often it may still come back."""
    if message is None:
        return None
    left = max(rounds.left(limits), 0)
    words = (
        "This is the last round: if checks or review send it back again, the task has failed."
        if left == 0
        else f"Rounds left after this one, for checks and review: {left}."
    )
    return f"{clip(message, _MESSAGE_CHARS - len(words) - 2)}\n\n{words}"


def checks_feedback(report: ChecksReport, promised_by: str = "") -> str:
    """Return what the agent is told when the system's own run of the commands is red.

    `promised_by` is the landed task whose command failed, "" when it is the task's own.
    """
    red = report.red
    if red is None:
        return "The acceptance commands passed."
    hint = f"\n{report.hint}" if report.hint else ""
    if red.more:
        return f"{_more(red)}{hint}"
    return (
        "The system ran the commands on a clean checkout of your change. "
        f"This one failed ({how_it_ended(red)}):\n    {red.command}{hint}{_promise(promised_by)}"
        "\nIts output is below. Fix the cause, then finish again."
    )


def _more(red: CheckResult) -> str:
    """Return what the agent is told of a command that failed before, and now in more."""
    tests = "\n".join(f"    {test}" for test in red.more[:20])
    rest = f"\n    and {len(red.more) - 20} more" if len(red.more) > 20 else ""
    return (
        "The system ran the checks on a clean checkout of your change. This one failed before any "
        f"change, too:\n    {red.command}\nThese of its tests did not fail then:\n{tests}{rest}\n"
        "Its output is below. Mend those, then finish again. If they must fail, or failed before "
        "under another name, finish with `blocked` and name the command in `cannot_pass`."
    )


def _promise(task: str) -> str:
    if not task:
        return ""
    return f"\nTask {task!r}, which has landed, promised that it passes: your change breaks it."


def eviction_feedback(verdict: MergeVerdict) -> str:
    """Return what the agent is told when its patch did not land."""
    if verdict.eviction is Eviction.CONFLICT:
        return (
            "Your patch conflicts with work that landed meanwhile. Your worktree now holds both, "
            f"with conflict markers in: {listing(verdict.conflicts, most=20)}. "
            "Resolve every marker so that both changes keep their meaning, then finish again."
        )
    command = f"\n    {verdict.command}" if verdict.command else ""
    test = f"\nThe test that fails: {verdict.test}" if verdict.test else ""
    alone = command and not verdict.met
    why = (
        "The merge queue ran a command that fails with your patch. Nothing else has landed since "
        "you began: your patch fails it by itself."
        if alone
        else "Your patch passes alone but fails on top of what landed meanwhile"
        f"{f': {listing(verdict.met, most=8)}' if verdict.met else ''}. "
        "Your worktree now holds your change on top of that work."
    )
    return (
        f"{why}{command}{_promise(verdict.promised_by)}{test}\n"
        "The failing output is below. Fix the cause, then finish again."
    )


def is_final(verdict: MergeVerdict) -> bool:
    """Return whether going back to the agent cannot help."""
    return verdict.eviction in (Eviction.UNTESTED, Eviction.SUPERSEDED)


def final_ending(verdict: MergeVerdict) -> TaskEnding:
    """Return how a task ends whose patch is not landed for good."""
    superseded = verdict.eviction is Eviction.SUPERSEDED
    return TaskEnding.SUPERSEDED if superseded else TaskEnding.UNTESTED
