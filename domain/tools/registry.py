"""The tool registry: name -> definition, JSON Schema, effect, retry class, approval class.

A definition can be read and its arguments checked without an agent. How a call is dispatched is
decided by its effect: reads are batched, writes are one activity each, `finish` runs nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, JsonValue, ValidationError

from contracts.tools import ApprovalClass, RetryClass
from contracts.verdicts import Effect

MAX_FINISH_BYTES = 49_152


@dataclass(frozen=True)
class ToolSpec:
    """One tool; `subject` is the argument that says what a call acts on."""

    name: str
    description: str
    arguments: type[BaseModel]
    effect: Effect
    retry: RetryClass
    approval: ApprovalClass
    subject: str

    def definition(self) -> dict[str, JsonValue]:
        """Return the tool as the Messages API wants it."""
        schema: dict[str, JsonValue] = self.arguments.model_json_schema()
        schema.pop("title", None)
        schema.pop("description", None)
        return {"name": self.name, "description": self.description, "input_schema": schema}


def check(tools: Mapping[str, ToolSpec], name: str, arguments: object) -> BaseModel | str:
    """Return the validated arguments, or what is wrong with them in words for the model."""
    if name not in tools:
        return f"There is no tool {name!r}. Tools: {', '.join(sorted(tools))}."
    if not isinstance(arguments, dict):
        return f"The arguments of {name} must be a JSON object."
    try:
        return tools[name].arguments.model_validate(arguments)
    except ValidationError as error:
        return _explain(name, error)


def _explain(name: str, error: ValidationError) -> str:
    lines = [
        f"{'.'.join(map(str, problem['loc'])) or 'arguments'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False)[:8]
    ]
    return f"The arguments of {name} do not fit its schema: {'; '.join(lines)}"[:1_000]
