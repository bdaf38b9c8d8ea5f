"""history_read: show a turn or a result of the agent's own past, whole, page by page."""

from pydantic import Field

from activities.tools.tool import Tool, ToolContext, ToolOutput, failed
from contracts.base import HumanInput
from contracts.tools import ApprovalClass, RetryClass
from contracts.verdicts import Effect
from domain.handoff.handles import parsed
from domain.text import clip
from domain.tools.registry import ToolSpec
from infra.kept.history import PastMissingError

_LINES = 400
_CHARS = 24_000
NO_PAST = "There is no past to read here."


class HistoryReadArguments(HumanInput):
    """Show a turn or a result of your own past."""

    handle: str = Field(
        min_length=2,
        max_length=60,
        description="w1.t14: turn 14 of your first window; w1.t14.r2: its second result; w1.t0: "
        "its opening; a1.w1.t3: of an earlier attempt.",
    )
    first_line: int = Field(default=1, ge=1)


async def execute(context: ToolContext, arguments: HistoryReadArguments) -> ToolOutput:
    """Return the lines from `first_line`, and what is left."""
    handle = parsed(arguments.handle)
    if handle is None:
        return failed(f"Error: {clip(arguments.handle, 60)!r} is no handle: write it as w1.t14.")
    if context.history is None:
        return failed(NO_PAST)
    try:
        text = await context.history.text(handle)
    except PastMissingError as error:
        return failed(f"Error: {error}")
    lines = text.splitlines()
    shown, left = [], _CHARS
    for line in lines[arguments.first_line - 1 :][:_LINES]:
        shown.append(clip(line, _CHARS))
        left -= len(shown[-1]) + 1
        if left < 0 and len(shown) > 1:
            shown.pop()
            break
    after = arguments.first_line + len(shown)
    if after <= len(lines):
        shown.append(f"[{len(lines) - after + 1:,} more lines: first_line={after}]")
    if not shown:
        return failed(f"Error: {handle} has {len(lines):,} lines.")
    return ToolOutput("\n".join(shown))


TOOL = Tool(
    ToolSpec(
        name="history_read",
        description="Show a turn or a result of your past, whole.",
        arguments=HistoryReadArguments,
        effect=Effect.READ,
        retry=RetryClass.PURE,
        approval=ApprovalClass.FREE,
        subject="handle",
        example={"handle": "w1.t14.r1"},
    ),
    execute,
)
