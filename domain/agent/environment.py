"""The environment section of every agent's opening: facts, in one form for all roles."""

from collections.abc import Sequence

from contracts.agent import AgentLimits
from contracts.baseline import Survey
from domain.text import one_line

_MOST_CHARS = 700
"""Of one list of names."""


def environment(
    survey: Survey | None,
    *,
    landed: Sequence[str],
    log: Sequence[str],
    limits: AgentLimits,
    budget_microusd: int,
) -> str:
    """Return what an agent is told of where it works.

    `landed` are the commits of its request that its work begins on, `log` the newest of the base;
    of `limits` only those of its role count.
    """
    lines = [
        *(_found(survey) if survey else ()),
        "Working directory: the root of your own copy of the repository; commands start there.",
        "Commands run in a sandbox without network: nothing can be installed.",
        _limits(limits, budget_microusd),
        *_commits("Landed in this request, newest first:", landed),
        *_commits("Recent commits of the base:", log),
    ]
    return "\n".join(lines)


def _found(survey: Survey) -> list[str]:
    return [
        f"Date: {survey.date}",
        *([f"System: {one_line(survey.system)}"] if survey.system else []),
        *([f"Found here: {_names(survey.tools)}"] if survey.tools else []),
        *(f"Dependencies: {one_line(each, _MOST_CHARS)}" for each in survey.dependencies),
        f"Base: {one_line(survey.base)}",
        *([f"Submodules, empty here: {_names(survey.submodules)}"] if survey.submodules else []),
    ]


def _names(found: Sequence[str]) -> str:
    """Return names as a sentence's list, as many as fit; the rest is counted."""
    kept: list[str] = []
    room = _MOST_CHARS
    for each in found:
        room -= len(each) + 2
        if room < 0:
            break
        kept.append(one_line(each, 120))
    rest = len(found) - len(kept)
    return ", ".join(kept) + (f" and {rest} more" if rest else "")


def _limits(limits: AgentLimits, budget_microusd: int) -> str:
    minutes = limits.seconds // 60
    money = f", ${budget_microusd / 1e6:.2f}" if budget_microusd else ""
    return (
        f"Limits: {limits.turns} turns, {minutes} minutes{money} in all; "
        f"{limits.output_tokens:,} tokens a reply."
    )


def _commits(head: str, commits: Sequence[str]) -> list[str]:
    return [head, *(f"  {one_line(each, 120)}" for each in commits)] if commits else []
