"""What tool calls came to, by the journal of their task: also where no later turn was told it."""

import json

from contracts.model import ToolAnswer, ToolUse
from contracts.spending import AgentOpened
from contracts.tools import ToolOutcome, ToolResult
from domain import ids
from infra.store import Store, journal

_UNANSWERED = (
    "This call had no answer yet when the conversation was taken back to here: make it again if "
    "you need it."
)


async def journaled(store: Store, key: str, agent: AgentOpened, use: ToolUse) -> ToolResult | None:
    """Return what a call of an agent came to; None when it has not ended, or was not journaled."""
    call = ids.call_id(agent.conversation, use.id)
    found = await journal.recorded(store, ids.call_ref(key, agent.task, call))
    return ToolResult.model_validate(json.loads(found)) if found else None


async def journaled_answer(store: Store, key: str, agent: AgentOpened, use: ToolUse) -> ToolAnswer:
    """Return the answer to a call by the journal; one that has none says so."""
    if use.problem:
        return ToolAnswer(tool_use_id=use.id, text=use.problem, is_error=True)
    result = await journaled(store, key, agent, use)
    if result is None:
        return ToolAnswer(tool_use_id=use.id, text=_UNANSWERED, is_error=True)
    failed = result.outcome is not ToolOutcome.DONE
    return ToolAnswer(tool_use_id=use.id, output=result.output, is_error=failed)
