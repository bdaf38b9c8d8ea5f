"""The tool registry: name -> definition, JSON Schema, effect, retry class, approval class.

A definition can be read and its arguments checked without an agent. How a call is dispatched is
decided by its effect: reads are batched, writes are one activity each, `finish` runs nothing.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel, JsonValue, ValidationError

from contracts.tools import FINISH, ApprovalClass, RetryClass
from contracts.verdicts import Effect
from domain.text import clip, for_people
from domain.tools import aliases, examples

MAX_FINISH_BYTES = 49_152
_PROBLEM_CHARS = 1_000


@dataclass(frozen=True)
class ToolSpec:
    """One tool.

    Attributes:
        subject: the argument that says what a call acts on.
        example: valid arguments, shown with an argument error; left out, made of the schema.
    """

    name: str
    description: str
    arguments: type[BaseModel]
    effect: Effect
    retry: RetryClass
    approval: ApprovalClass
    subject: str
    example: Mapping[str, JsonValue] = field(default_factory=dict)

    def definition(self) -> dict[str, JsonValue]:
        """Return the tool as the Messages API wants it."""
        schema: dict[str, JsonValue] = self.arguments.model_json_schema()
        schema.pop("title", None)
        schema.pop("description", None)
        return {"name": self.name, "description": self.description, "input_schema": schema}

    def shown_example(self) -> str:
        """Return a valid call's arguments as JSON."""
        valid = self.example or examples.example(self.arguments.model_json_schema())
        return json.dumps(dict(valid), ensure_ascii=False)


def understood(tools: Mapping[str, ToolSpec], name: str, arguments: object) -> tuple[str, object]:
    """Return the tool and the arguments that a call means, whatever harness taught their names."""
    fields = {
        each: spec.arguments.model_json_schema().get("properties", {})
        for each, spec in tools.items()
    }
    return aliases.understood(fields, name, arguments)


def check(tools: Mapping[str, ToolSpec], name: str, arguments: object) -> BaseModel | str:
    """Return the validated arguments, or what is wrong with them in words for the model."""
    if name not in tools:
        return _unknown(tools, name)
    spec = tools[name]
    if not isinstance(arguments, dict):
        kind = "a list" if isinstance(arguments, list) else f"{json.dumps(arguments)[:60]}"
        return _problem(spec, f"The arguments of {name} must be a JSON object, not {kind}")
    try:
        checked = spec.arguments.model_validate(arguments)
    except ValidationError as error:
        return _problem(spec, f"The arguments of {name} do not fit its schema: {_said(error)}")
    if blank := list(_blank(checked)) if name == FINISH else []:
        return _problem(spec, f"Nothing is said in {', '.join(blank)}: fill it in")
    if spec.approval is ApprovalClass.COMMAND:
        return aliases.command_problem(str(getattr(checked, spec.subject, ""))) or checked
    return checked


def _unknown(tools: Mapping[str, ToolSpec], name: str) -> str:
    known = f"There is no tool {clip(name, 80)!r}. Tools: {', '.join(sorted(tools))}."
    return f"{known} {aliases.hint(tools, name)}".strip()


def _problem(spec: ToolSpec, said: str) -> str:
    example = f". Arguments that fit: {spec.shown_example()}"
    return clip(clip(said, max(_PROBLEM_CHARS - len(example), 200)) + example, _PROBLEM_CHARS)


def _said(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'arguments'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_input=False)[:8]
    )


def _blank(value: BaseModel, place: str = "") -> Iterable[str]:
    """Yield the required texts, of every depth, in which nothing is said."""
    for name, info in type(value).model_fields.items():
        found = getattr(value, name)
        if isinstance(found, str) and info.is_required() and not for_people(found).strip():
            yield f"{place}{name}"
        for number, each in enumerate(found if isinstance(found, tuple | list) else ()):
            if isinstance(each, BaseModel):
                yield from _blank(each, f"{place}{name}.{number}.")
