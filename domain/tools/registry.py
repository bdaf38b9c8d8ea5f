"""
The tool registry: name -> definition, JSON Schema, effect, retry class, approval class.

A definition can be read and its arguments checked without an agent. Which code carries a tool out
is decided by its effect: reads are batched, writes are one activity each, `finish` runs nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pydantic import BaseModel, ValidationError

from contracts.model import Role
from contracts.planning import PlanDraft
from contracts.review import ReviewFinish
from contracts.tools import (
    ApprovalClass,
    CoderFinish,
    EditArguments,
    Effect,
    RetryClass,
    RunCommandArguments,
    SearchArguments,
    ToolName,
    ViewArguments,
)

MAX_FINISH_BYTES = 49_152


@dataclass(frozen=True)
class ToolSpec:
    """
    One tool.

    Attributes:
        subject: the argument that says what a call acts on.
    """

    name: ToolName
    description: str
    arguments: type[BaseModel]
    effect: Effect
    retry: RetryClass
    approval: ApprovalClass
    subject: str

    def definition(self) -> dict[str, object]:
        """Return the tool as the Messages API wants it."""
        schema = self.arguments.model_json_schema()
        schema.pop("title", None)
        schema.pop("description", None)
        return {"name": self.name.value, "description": self.description, "input_schema": schema}


@dataclass(frozen=True)
class InvalidCall:
    """Why a call cannot be run, as the model is told."""

    message: str


class Registry:
    """Tools by name. A name is taken once; a second registration under it is refused."""

    def __init__(self, specs: Iterable[ToolSpec]) -> None:
        tools: dict[str, ToolSpec] = {}
        for spec in specs:
            if spec.name in tools:
                raise ValueError(f"two tools are called {spec.name.value!r}")
            tools[spec.name] = spec
        self._tools: Mapping[str, ToolSpec] = MappingProxyType(dict(sorted(tools.items())))

    def specs(self) -> tuple[ToolSpec, ...]:
        """Return the tools, sorted by name: the order in which a model is told of them."""
        return tuple(self._tools.values())

    def get(self, name: str) -> ToolSpec | None:
        """Return the tool of this name, None when there is none."""
        return self._tools.get(name)

    def check(self, name: str, arguments: object) -> BaseModel | InvalidCall:
        """Return the validated arguments, or what is wrong with them in words for the model."""
        spec = self.get(name)
        if spec is None:
            return InvalidCall(f"There is no tool {name!r}. Tools: {', '.join(self._tools)}.")
        if not isinstance(arguments, dict):
            return InvalidCall(f"The arguments of {name} must be a JSON object.")
        try:
            return spec.arguments.model_validate(arguments)
        except ValidationError as error:
            return InvalidCall(_explain(name, error))


def _explain(name: str, error: ValidationError) -> str:
    lines = [
        f"{'.'.join(map(str, problem['loc'])) or 'arguments'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False)[:8]
    ]
    return f"The arguments of {name} do not fit its schema: {'; '.join(lines)}"[:1_000]


_VIEW = ToolSpec(
    ToolName.VIEW,
    "Show a file of the repository with line numbers, or list a folder two levels deep. "
    "Give view_range to see part of a long file.",
    ViewArguments,
    Effect.READ,
    RetryClass.PURE,
    ApprovalClass.FREE,
    "path",
)
_SEARCH = ToolSpec(
    ToolName.SEARCH,
    "Find lines that match an extended regular expression in text files. Returns path:line:text, "
    "at most 200 matches.",
    SearchArguments,
    Effect.READ,
    RetryClass.PURE,
    ApprovalClass.FREE,
    "pattern",
)
_EDIT = ToolSpec(
    ToolName.EDIT,
    "Change one file. create writes a new file; str_replace replaces one text that occurs exactly "
    "once; insert puts text after a line. View a file before you change it.",
    EditArguments,
    Effect.WRITE,
    RetryClass.JOURNALED,
    ApprovalClass.BY_SUBJECT,
    "path",
)
_RUN = ToolSpec(
    ToolName.RUN_COMMAND,
    "Run a bash command line in a sandbox, in the repository root. No network. Each command "
    "starts in a fresh shell; files stay, processes do not.",
    RunCommandArguments,
    Effect.WRITE,
    RetryClass.JOURNALED,
    ApprovalClass.BY_SUBJECT,
    "command",
)


def _finish(arguments: type[BaseModel], description: str) -> ToolSpec:
    return ToolSpec(
        ToolName.FINISH,
        description,
        arguments,
        Effect.END,
        RetryClass.PURE,
        ApprovalClass.FREE,
        "summary",
    )


PLANNER = Registry(
    [_VIEW, _SEARCH, _finish(PlanDraft, "Hand in the plan. Call it alone, once it is complete.")]
)
CODER = Registry(
    [
        _VIEW,
        _SEARCH,
        _EDIT,
        _RUN,
        _finish(
            CoderFinish,
            "Say that the task is done. The system then runs the acceptance commands itself; "
            "if they fail you get their output. Call it alone.",
        ),
    ]
)
REVIEWER = Registry(
    [
        _VIEW,
        _SEARCH,
        _RUN,
        _finish(ReviewFinish, "Hand in the review: a verdict and findings. Call it alone."),
    ]
)


def registry_for(role: Role) -> Registry:
    """Return the tools of a role."""
    match role:
        case Role.PLANNER:
            return PLANNER
        case Role.CODER:
            return CODER
        case Role.REVIEWER:
            return REVIEWER
