"""What a role hands in by `finish`: three shapes that workflows read, or fields of a role's own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pydantic import BaseModel, ConfigDict, Field, JsonValue, create_model

from contracts.planning import PlanDraft
from contracts.review import ReviewFinish
from contracts.tools import FINISH, ApprovalClass, CoderFinish, RetryClass
from contracts.verdicts import Effect
from domain.tools.registry import ToolSpec


@dataclass(frozen=True, slots=True)
class Output:
    """What `finish` takes, what the model is told of it, and valid arguments to show it."""

    description: str
    arguments: type[BaseModel]
    example: Mapping[str, JsonValue] = field(default_factory=dict)


_PLAN: Mapping[str, JsonValue] = MappingProxyType(
    {
        "summary": "One task adds the flag.",
        "tasks": [
            {
                "id": "add-flag",
                "title": "Add the flag",
                "goal": "The program takes --flag.",
                "writes": ["src/app.py", "tests/test_app.py"],
                "acceptance": ["python -m pytest -q tests/test_app.py"],
            }
        ],
    }
)
_REVIEW: Mapping[str, JsonValue] = MappingProxyType(
    {
        "verdict": "revise",
        "summary": "One case is missing.",
        "findings": [{"priority": 1, "title": "Zero is not handled", "path": "src/app.py"}],
    }
)
OUTPUTS: Mapping[str, Output] = MappingProxyType(
    {
        "plan": Output("Hand in the plan. Call it alone, once it is complete.", PlanDraft, _PLAN),
        "change": Output(
            "Say that the task is done. The system then runs the acceptance commands itself; "
            "if they fail you get their output. Call it alone.",
            CoderFinish,
            {"summary": "Added the flag and its test.", "commit_title": "Add the flag"},
        ),
        "review": Output(
            "Hand in the review: a verdict and findings. Call it alone.", ReviewFinish, _REVIEW
        ),
    }
)


def output_of(description: str, fields: Mapping[str, str]) -> Output:
    """Return an output of a role's own: texts by name, all required, each with its description."""
    shape = {
        name: (str, Field(min_length=1, max_length=8_000, description=text))
        for name, text in fields.items()
    }
    forbid = ConfigDict(frozen=True, extra="forbid")
    arguments: type[BaseModel] = create_model("Output", __config__=forbid, **shape)  # type: ignore[call-overload]
    return Output(description, arguments)


def finish_tool(output: Output) -> ToolSpec:
    """Return the tool by which a role hands its output in."""
    return ToolSpec(
        name=FINISH,
        description=output.description,
        arguments=output.arguments,
        effect=Effect.END,
        retry=RetryClass.PURE,
        approval=ApprovalClass.FREE,
        subject="summary",
        example=output.example,
    )
