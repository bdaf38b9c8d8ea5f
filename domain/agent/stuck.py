"""A task whose agent is stuck, after all that the supervisor tried: a person says how it goes on.

Part of what histories mean: workflows call it. How often a person is asked is `stuck_questions` of
`RequestLimits`, set in domain/limits.py.
"""

from contracts.agent import AgentResult, StopCause
from contracts.approvals import Choice, Decision
from contracts.base import ObjectId
from contracts.budget import OnLimit
from contracts.limits import RequestLimits
from contracts.subtask import SubtaskStart
from contracts.task import EarlierAttempt
from domain.approvals.inbox import EXPIRED
from domain.text import clip

_NOTE_CHARS = 4_000


def asks(result: AgentResult | None, asked: int, limits: RequestLimits, on_limit: OnLimit) -> bool:
    """Return whether a person is asked about an agent that was cut, after so many questions.

    Only one that went in circles is stuck, and only where a person is there to be asked.
    """
    stuck = result is not None and result.cut is StopCause.LOOP
    return stuck and asked < limits.stuck_questions and on_limit is OnLimit.ASK


def failure(why: str, decision: Decision) -> str:
    """Return why a task fails that is given up; without any answer, why it would have before."""
    if decision.by == EXPIRED:
        return why
    said = f": {decision.reason}" if decision.reason else ""
    return f"{why}; given up by {decision.by}{said}"


def hint(decision: Decision) -> str:
    """Return what a person tells the agent that begins again; "" for nothing."""
    return clip(decision.reason, _NOTE_CHARS) if decision.choice is Choice.REVISE else ""


def begins_again(hint: str) -> str:
    """Return what a reviewer is told of an agent that begins again."""
    said = f" A person told it: {hint}" if hint else ""
    return f"Its agent was stuck, and began again in a fresh conversation.{said}"


def begun_again(
    start: SubtaskStart, why: str, checkpoint: ObjectId, base: ObjectId
) -> SubtaskStart:
    """Return a task whose next agent begins in a fresh window, with the ledger of the stuck one.

    It goes on from the files as they are.
    """
    before = start.earlier
    earlier = EarlierAttempt(
        number=before.number + 1 if before else 1,
        reason=clip(why, 900),
        commit=checkpoint if checkpoint != base else None,
        rounds=before.rounds if before else 0,
    )
    return start.model_copy(update={"earlier": earlier, "resumed": False})
