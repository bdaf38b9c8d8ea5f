"""The tool by which an agent hands its work over to a fresh window of its own."""

from collections.abc import Mapping
from types import MappingProxyType

from pydantic import JsonValue

from contracts.handoff import HANDOFF, HandoffNote
from contracts.tools import ApprovalClass, RetryClass
from contracts.verdicts import Effect
from domain.tools.registry import ToolSpec

_EXAMPLE: Mapping[str, JsonValue] = MappingProxyType(
    {
        "state": "The parser takes both forms; two tests of the printer still fail.",
        "next": "Make the printer write the short form.",
        "decisions": "The long form stays readable: old files have it.",
        "tried": "Reusing the lexer: it drops comments.",
    }
)


def handoff_tool() -> ToolSpec:
    """Return the tool by which an agent hands its work over to a fresh window."""
    return ToolSpec(
        name=HANDOFF,
        description="Go on in a fresh context window: what was told, changed and run is kept "
        "beside this note. Call it alone, when you are asked to or need it.",
        arguments=HandoffNote,
        effect=Effect.END,
        retry=RetryClass.PURE,
        approval=ApprovalClass.FREE,
        subject="state",
        example=_EXAMPLE,
    )
