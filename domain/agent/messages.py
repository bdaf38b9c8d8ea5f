"""What an agent is told between its turns, and how a failure is put in words."""

import re
from collections.abc import Sequence

from contracts.handoff import PartKind
from contracts.planning import Plan
from contracts.task import EarlierAttempt
from domain.agent import loop
from domain.text import clip, for_people

GAP = "\n\n"
"""Between the texts of a message."""
_MESSAGE_CHARS = 16_000
_EARLIER_CHARS = 4_000

_NOTE = "A note from the person who made the request: "
_PLAN_SENT_BACK = "A person sent the plan back: "
_OUTPUT_BELOW = re.compile(r"(?:Its|The failing) output is below\. ")


def note(text: str) -> str:
    """Return a person's words as an agent is told them."""
    return f"{_NOTE}{text}"


def both(first: str, then: str | None) -> str:
    """Return two texts as one message that is not too long; the second one may be missing."""
    return clip(f"{first}{GAP}{then}" if then else first, _MESSAGE_CHARS)


def earlier(feedback: Sequence[str]) -> str:
    """Return why a change was sent back before, newest last; the oldest go where it is too long.

    The output that stood below is not repeated, so nothing says that it does.
    """
    kept: list[str] = []
    for number, text in reversed(list(enumerate(feedback, start=1))):
        kept.insert(0, f"{number}. {clip(_OUTPUT_BELOW.sub('', text), _EARLIER_CHARS // 2)}")
        if sum(len(each) for each in kept) > _EARLIER_CHARS:
            break
    return GAP.join(kept)


def plan_sent_back(reason: str, plan: Plan | None = None) -> str:
    """Return what the planner is told when a person wants another plan; one it does not know."""
    known = f"\nThe plan: {plan.model_dump_json(include={'summary', 'tasks'})}" if plan else ""
    return f"{_PLAN_SENT_BACK}{reason}\nHand in the whole plan again.{known}"


def earlier_attempt(earlier: EarlierAttempt | None) -> str:
    """Return what an agent is told of the attempt before, "" of none."""
    if earlier is None:
        return ""
    lines = [
        f"Attempt {earlier.number} at this task ended: {earlier.reason}.",
        "Find out why before you change anything, and do not repeat it.",
    ]
    if earlier.commit:
        lines.append(
            "Its changes are in your worktree already, on top of what has landed: go on from "
            "them, or undo what is wrong."
        )
    return "\n".join(lines)


def kind_of(text: str) -> PartKind:
    """Return whose words a text is that an agent is told."""
    if text.startswith((_NOTE, _PLAN_SENT_BACK)):
        return PartKind.PERSON
    return PartKind.SYSTEM if loop.is_own(text) else PartKind.FEEDBACK


def parts(texts: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """Return the kind and the length of each text of a message, as it holds them."""
    rest, found = _MESSAGE_CHARS, []
    for text in texts:
        found.append((kind_of(text).value, min(len(text), rest)))
        rest = max(rest - len(text) - len(GAP), 0)
    return tuple(found)


def message(texts: Sequence[str]) -> tuple[str | None, int]:
    """Return one message with as many of the first texts as it holds, and how many these are.

    A single text that is too long is cut; the others wait for the next message.
    """
    held, length = 0, 0
    for text in texts:
        length += len(text) + len(GAP)
        if held and length > _MESSAGE_CHARS:
            break
        held += 1
    return GAP.join(texts[:held])[:_MESSAGE_CHARS] or None, held


def lost(calls: int) -> str:
    """Return how often a reply came that nothing could be done with, as the start of a sentence."""
    return f"{calls} replies in a row could not be used: " if calls > 1 else ""


def cause(error: BaseException) -> str:
    """Return a failure's own sentence, fit to show.

    It is that of the outermost error that was raised with a sentence: Temporal's frames
    around it say only where, and its causes are written for us.
    """
    inner = error
    while not hasattr(inner, "non_retryable") and getattr(inner, "cause", None) is not None:
        inner = inner.cause  # type: ignore[attr-defined]
    return for_people(str(getattr(inner, "message", "") or inner), 900)
