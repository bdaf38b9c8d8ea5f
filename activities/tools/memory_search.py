"""memory_search: find memories of this repository, and turns of the own request's conversations."""

from pydantic import Field

from activities.tools.tool import Tool, ToolContext, ToolOutput, failed
from contracts.base import HumanInput
from contracts.tools import ApprovalClass, RetryClass
from contracts.verdicts import Effect
from domain import ids
from domain.memory.recall import Hit
from domain.text import for_models
from domain.tools.registry import ToolSpec
from infra.memory.recall import RecallError


class MemorySearchArguments(HumanInput):
    """Search by words."""

    query: str = Field(min_length=1, max_length=400, description="A few words.")


async def execute(context: ToolContext, arguments: MemorySearchArguments) -> ToolOutput:
    """Return what was found, a few lines each."""
    try:
        hits = await context.memories.search(arguments.query)
    except RecallError as error:
        return failed(f"The search does not work now ({error}): go on without it.")
    found = "\n".join(_shown(hit) for hit in hits)
    return ToolOutput(found or "Nothing was found, neither in memories nor in this request.")


def _shown(hit: Hit) -> str:
    passage = " ".join(for_models(hit.passage, 600).split())
    if hit.memory:
        return f"memory {hit.memory}: {hit.title}\n    {passage}"
    task = ids.agent_task(hit.agent, hit.title)
    who = f"{hit.title} of {task}" if task else hit.title
    return f"this request, {who}, turn {hit.turn}:\n    {passage}"


TOOL = Tool(
    ToolSpec(
        name="memory_search",
        description="Find memories of earlier requests in this repository, and what agents of this "
        "request said, ran and were told.",
        arguments=MemorySearchArguments,
        effect=Effect.READ,
        retry=RetryClass.PURE,
        approval=ApprovalClass.FREE,
        subject="query",
        example={"query": "encoding of test names"},
    ),
    execute,
)
