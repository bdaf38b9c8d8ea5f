"""history_search: find words in the agent's own past."""

from pydantic import Field

from activities.tools.history_read import NO_PAST
from activities.tools.tool import Tool, ToolContext, ToolOutput, failed
from contracts.base import HumanInput
from contracts.tools import ApprovalClass, RetryClass
from contracts.verdicts import Effect
from domain.text import clip, for_models
from domain.tools.registry import ToolSpec

_MATCHES = 50
_LINE = 300


class HistorySearchArguments(HumanInput):
    """Find words in your own past."""

    text: str = Field(min_length=2, max_length=200)


async def execute(context: ToolContext, arguments: HistorySearchArguments) -> ToolOutput:
    """Return the lines that hold the text, the newest turns first, each with its handle."""
    if context.history is None:
        return failed(NO_PAST)
    found = await context.history.search(arguments.text, most=_MATCHES)
    if not found:
        return ToolOutput("Nothing in your past holds that text.")
    shown = [
        clip(f"[{each.at}] {each.what}, line {number}: {for_models(line, len(line))}", _LINE)
        for each, number, line in found[:_MATCHES]
    ]
    if len(found) > _MATCHES:
        shown.append("… and more: search for a longer text")
    return ToolOutput("\n".join(shown))


TOOL = Tool(
    ToolSpec(
        name="history_search",
        description="Find a text in your past, in all windows and attempts. Returns handles for "
        "`history_read`.",
        arguments=HistorySearchArguments,
        effect=Effect.READ,
        retry=RetryClass.PURE,
        approval=ApprovalClass.FREE,
        subject="text",
        example={"text": "rate limit"},
    ),
    execute,
)
