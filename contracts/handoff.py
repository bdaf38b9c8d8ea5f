"""Handing an agent's work over to a fresh window: why, with what, and the agent's own note."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, WithJsonSchema

from contracts.base import Contract, HumanInput, ObjectId, ShortText
from contracts.model import OpenConversation, ToolAnswer
from contracts.store import ConversationRef

HANDOFF: Final = "handoff"
"""The tool by which an agent hands its work over; its arguments are its note."""


class PartKind(StrEnum):
    """Whose words a part of a message is."""

    PERSON = "person"
    FEEDBACK = "feedback"
    """Why work was sent back."""
    SYSTEM = "system"
    """The loop's own."""


class HandoffCause(StrEnum):
    """Why a window ended before the work did."""

    FULL = "the window was nearly full"
    OVERFLOW = "the window was full"
    STUCK = "no progress"
    ASKED = "the agent asked for it"


_STATE_CHARS, _LINE_CHARS, _LINES = 2_000, 400, 8


def _state(value: object) -> object:
    return value[:_STATE_CHARS] if isinstance(value, str) else value


def _lines(value: object) -> object:
    """Return at most 8 lines of 400 characters: a note that is too long is cut, not refused."""
    given = [line for line in value.splitlines() if line] if isinstance(value, str) else value
    if not isinstance(given, list | tuple):
        return value
    return [each[:_LINE_CHARS] if isinstance(each, str) else each for each in given[:_LINES]]


NoteLines = Annotated[tuple[str, ...], BeforeValidator(_lines), WithJsonSchema({"type": "string"})]
"""At most 8 lines, each at most 400 characters long; given as one text or as a list."""


class HandoffNote(HumanInput):
    """What an agent tells the window that goes on with its work; bounded, whatever it writes."""

    state: Annotated[str, BeforeValidator(_state)] = Field(
        min_length=1,
        description="Where the work stands, and why.",
    )
    next: NoteLines = Field(default=(), description="The next steps; of each at most 8 lines.")
    decisions: NoteLines = Field(default=(), description="Each with its reason.")
    tried: NoteLines = Field(default=(), description="What failed, each with its cause.")
    questions: NoteLines = ()


class HandOver(Contract):
    """Ask for an agent's next window.

    Attributes:
        opening: as its first window was opened; `generation` is that of the new one.
        conversation: the window that ends.
        answers: what calls came to that the window that ends was not told.
        note: object id of the arguments of the agent's `handoff`; None when it called none.
        asked: it was asked for a note: its last words stand for one that it did not call.
        why: what is said of the cause beside its name.
        base: what its work began on.
        checkpoint: the worktree's state.
        seen: object id of its record of file digests.
        turns, cost_microusd, budget_microusd: of the agent so far.
        fallback: the new window asks the fallback model.
    """

    opening: OpenConversation
    conversation: ConversationRef
    cause: HandoffCause
    answers: tuple[ToolAnswer, ...] = ()
    note: ObjectId | None = None
    asked: bool = False
    why: ShortText = ""
    base: ObjectId
    checkpoint: ObjectId
    seen: ObjectId | None = None
    turns: int = 0
    cost_microusd: int = 0
    budget_microusd: int = 0
    fallback: bool = False
