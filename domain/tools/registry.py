"""The tool registry: name -> definition, JSON Schema, effect, retry class, approval class.

A definition can be read and its arguments checked without an agent. How a call is dispatched is
decided by its effect: reads are batched, writes are one activity each, `finish` runs nothing.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import ErrorDetails

from contracts.tools import FINISH, ApprovalClass, RetryClass
from contracts.verdicts import Effect
from domain.text import clip, for_people, listing
from domain.tools import aliases, examples

MAX_FINISH_BYTES = 49_152
_PROBLEM_CHARS = 1_000

ChangedPaths = Callable[[Mapping[str, object]], tuple[str, ...]]
"""Returns the paths that a call changes, as its validated arguments write them."""


@dataclass(frozen=True)
class ToolSpec:
    """One tool.

    Attributes:
        subject: the argument that says what a call acts on.
        example: valid arguments, shown with an argument error; left out, made of the schema.
        changed_paths: returns the paths that a call changes, by its arguments, where its subject is
            none itself; each of them is judged.
    """

    name: str
    description: str
    arguments: type[BaseModel]
    effect: Effect
    retry: RetryClass
    approval: ApprovalClass
    subject: str
    example: Mapping[str, JsonValue] = field(default_factory=dict)
    changed_paths: ChangedPaths | None = None

    @cached_property
    def properties(self) -> Mapping[str, Any]:
        """The properties of the arguments' schema, which takes milliseconds to make, by name."""
        found: dict[str, Any] = self.arguments.model_json_schema().get("properties", {})
        return found

    def definition(self) -> dict[str, JsonValue]:
        """Return the tool as the Messages API wants it."""
        schema: dict[str, JsonValue] = _plain(_inlined(self.arguments.model_json_schema()))
        schema.pop("description", None)
        return {"name": self.name, "description": self.description, "input_schema": schema}

    def acts_on(self, checked: BaseModel) -> str:
        """Return what a call acts on, for people."""
        if self.changed_paths is not None:
            return ", ".join(self.changed_paths(checked.model_dump()))
        return str(getattr(checked, self.subject, ""))

    def shown_example(self) -> str:
        """Return a valid call's arguments as JSON."""
        valid = self.example or examples.example(self.arguments.model_json_schema())
        return json.dumps(dict(valid), ensure_ascii=False)


def _inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema in which a definition that is used once stands at its place."""
    known = schema.get("$defs", {})
    text = json.dumps(schema)
    once = {name for name in known if text.count(f'"#/$defs/{name}"') == 1}

    def put(part: Any) -> Any:  # noqa: ANN401, RUF100 - any part of a JSON Schema
        if isinstance(part, list):
            return [put(each) for each in part]
        if not isinstance(part, dict):
            return part
        name = str(part.get("$ref", "")).rpartition("/")[2]
        if name in once:
            return put({**known[name], **{k: v for k, v in part.items() if k != "$ref"}})
        return {key: put(value) for key, value in part.items() if key != "$defs"}

    kept = {name: put(each) for name, each in known.items() if name not in once}
    return {**put(schema), **({"$defs": kept} if kept else {})}


def _plain(schema: Any) -> Any:  # noqa: ANN401, RUF100 - any part of a JSON Schema
    """Return a schema with what a model needs of it: each request carries it.

    Left out is what repeats something: titles, and the default and null of what is not required;
    and lengths and the ban of further keys, by which a call is checked all the same.
    """
    if isinstance(schema, list):
        return [_plain(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {k: _plain(v) for k, v in schema.items() if not _is_noise(k, v)}
    options = [each for each in kept.get("anyOf", ()) if each != {"type": "null"}]
    if len(options) == 1:
        del kept["anyOf"]
        return {**options[0], **kept}
    return kept


def _is_noise(key: str, value: object) -> bool:
    match key:
        case "title":
            return isinstance(value, str)
        case "default":
            return not isinstance(value, dict) and not value
        case "minLength" | "maxLength" | "additionalProperties":
            return not isinstance(value, dict)
        case _:
            return False


def understood(tools: Mapping[str, ToolSpec], name: str, arguments: object) -> tuple[str, object]:
    """Return the tool and the arguments that a call means, whatever harness taught their names."""
    return aliases.understood(tools, lambda each: tools[each].properties, name, arguments)


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
    if unknown := list(_unknown_fields(checked, arguments)):
        return _problem(spec, f"The arguments of {name} do not fit its schema: {_no(unknown)}")
    if blank := list(_blank(checked)) if name == FINISH else []:
        return _problem(spec, f"Nothing is said in {', '.join(blank)}: fill it in")
    if spec.approval is ApprovalClass.COMMAND:
        return aliases.command_problem(tools, str(getattr(checked, spec.subject, ""))) or checked
    return checked


def _unknown(tools: Mapping[str, ToolSpec], name: str) -> str:
    known = f"There is no tool {clip(name, 80)!r}. Tools: {', '.join(sorted(tools))}."
    return f"{known} {aliases.hint(tools, name)}".strip()


def _problem(spec: ToolSpec, said: str) -> str:
    example = f". Arguments that fit: {spec.shown_example()}"
    return clip(clip(said, max(_PROBLEM_CHARS - len(example), 200)) + example, _PROBLEM_CHARS)


def _said(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False)
    places = [problem["loc"] for problem in problems]
    return "; ".join(
        f"{'.'.join(map(str, problem['loc'])) or 'arguments'}: {_as_json(problem['msg'])}"
        for problem in problems
        if not _follows(problem, places)
    )


def _follows(problem: ErrorDetails, places: Iterable[tuple[int | str, ...]]) -> bool:
    """Return whether a list is too short only because of what is wrong with its entries."""
    place = problem["loc"]
    inside = any(other[: len(place)] == place and other != place for other in places)
    return problem["type"] == "too_short" and inside


def _as_json(message: str) -> str:
    """Return what is wrong by the names that JSON has for it."""
    return message.replace("a valid tuple", "a list").replace("Tuple should", "The list should")


def _unknown_fields(value: object, given: object, place: str = "") -> Iterator[tuple[str, str]]:
    """Yield the place of each field that nothing reads, of every depth, and the fields there are.

    Contracts that histories hold ignore such fields; what is ignored of a call must be told.
    """
    if isinstance(value, BaseModel) and isinstance(given, dict):
        fields = type(value).model_fields
        yield from ((f"{place}{key}", ", ".join(fields)) for key in given if key not in fields)
        for key in fields:
            yield from _unknown_fields(getattr(value, key), given.get(key), f"{place}{key}.")
    elif isinstance(value, tuple | list) and isinstance(given, list):
        for number, (each, its) in enumerate(zip(value, given, strict=False)):
            yield from _unknown_fields(each, its, f"{place}{number}.")


def _no(unknown: Iterable[tuple[str, str]]) -> str:
    """Return which fields there are not, and which there are in their place."""
    by_fields: dict[str, list[str]] = {}
    for place, fields in unknown:
        by_fields.setdefault(fields, []).append(place)
    return "; ".join(
        f"there is no {listing(tuple(places))} (there are {fields})"
        for fields, places in by_fields.items()
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
