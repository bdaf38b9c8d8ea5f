"""remember: propose a memory for later requests in this repository."""

from typing import Literal

from pydantic import Field

from activities.tools.tool import Tool, ToolContext, ToolOutput, failed, plain_path
from contracts.base import HumanInput
from contracts.tools import ApprovalClass, RetryClass
from contracts.verdicts import Effect
from domain.approvals.paths import path_problem
from domain.memory.acceptance import Fate
from domain.memory.memory import (
    DESCRIPTION_CHARS,
    EVIDENCE_CHARS,
    MOST_FILES,
    TEXT_CHARS,
    MemoryType,
    draft,
)
from domain.tools.registry import ToolSpec


class RememberArguments(HumanInput):
    """Propose a memory."""

    type: Literal["user", "feedback", "project", "reference"] = Field(
        description="user: about the person; feedback: how they want work done; project: a trap, "
        "a decision and why; reference: where something stands outside the repository."
    )
    description: str = Field(
        min_length=1, max_length=DESCRIPTION_CHARS, description="One line, as the index has it."
    )
    text: str = Field(
        min_length=1,
        max_length=TEXT_CHARS,
        description="What is so, why, when it matters; clear without this conversation. What the "
        "person asks to be remembered: their sentence as it stands, in description too.",
    )
    evidence: str = Field(
        default="", max_length=EVIDENCE_CHARS, description="What shows it: a command, an output."
    )
    files: tuple[str, ...] = Field(
        default=(), max_length=MOST_FILES, description="Files of the repository that show it."
    )


async def execute(context: ToolContext, arguments: RememberArguments) -> ToolOutput:
    """Propose it; say what becomes of it."""
    for path in arguments.files:
        if problem := path_problem(path):
            return failed(f"Error: {problem}")
    proposed = draft(
        MemoryType(arguments.type),
        description=arguments.description,
        text=arguments.text,
        evidence=arguments.evidence,
    )
    files = tuple(plain_path(path) for path in arguments.files)
    verdict = await context.memories.propose(proposed, files)
    return failed(verdict.said) if verdict.fate is Fate.REFUSED else ToolOutput(verdict.said)


TOOL = Tool(
    ToolSpec(
        name="remember",
        description="Propose one memory for agents of later requests in this repository: what they "
        "need and cannot see from files and history, not what this task did. A person decides.",
        arguments=RememberArguments,
        effect=Effect.WRITE,
        retry=RetryClass.JOURNALED,
        approval=ApprovalClass.FREE,
        subject="description",
        example={
            "type": "project",
            "description": "Tests need LANG=C.UTF-8",
            "text": "Without it test_names fails with an encoding error that names no cause.",
            "evidence": "LANG=C python -m pytest tests/test_names.py",
        },
    ),
    execute,
)
