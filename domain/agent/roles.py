"""A role on paper: its prompt, tools, output and limits, read from a file's front matter."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field, ValidationError

from contracts.agent import AgentLimits
from contracts.base import HumanInput
from contracts.model_choice import WindowTokens
from domain import limits
from domain.agent.outputs import OUTPUTS, Output, output_of


@dataclass(frozen=True, slots=True)
class Role:
    """One role.

    Attributes:
        model: None takes the one of the worker's settings.
        tools: names, `finish` apart.
        limits: without the money, which the caller of the agent reserves.
        window_tokens: as its file says; None takes that of the worker's settings.
    """

    name: str
    prompt: str
    tools: tuple[str, ...]
    output: Output
    limits: AgentLimits
    model: str | None = None
    window_tokens: int | None = None


class RoleLimits(HumanInput):
    """The limits that a role may set; see `AgentLimits`."""

    turns: int = Field(ge=1, le=10_000)
    seconds: int = Field(ge=1, le=604_800)
    output_tokens: int = Field(ge=1_000, le=128_000)
    window_tokens: WindowTokens | None = None


class OutputFields(HumanInput):
    """An output of a role's own: the tool's description, and a description by field."""

    description: str = Field(min_length=1, max_length=1_000)
    fields: dict[str, str] = Field(min_length=1, max_length=20)


class RoleFields(HumanInput):
    """The front matter of a role's file; `output` is a name of OUTPUTS, or fields of its own."""

    description: str = Field(min_length=1, max_length=1_000)
    model: str | None = Field(default=None, min_length=1, max_length=200)
    tools: tuple[str, ...] = ()
    output: str | OutputFields
    limits: RoleLimits


def read_role(
    name: str, fields: Mapping[str, object], prompt: str, *, tools: tuple[str, ...]
) -> Role | str:
    """Return the role that a file describes, or what is wrong with it in one sentence.

    `fields` is the file's front matter, `prompt` the text after it, `tools` every tool's name.
    """
    try:
        found = RoleFields.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "front matter"
        return f"the role {name!r} cannot be used: {place}: {first['msg']}"
    if unknown := [tool for tool in found.tools if tool not in tools]:
        return f"the role {name!r} names the tool {unknown[0]!r}; there are {', '.join(tools)}"
    if not prompt.strip():
        return f"the role {name!r} has no prompt: write it below the front matter"
    output = _output(found.output)
    if output is None:
        return f"the role {name!r} has the output {found.output!r}; use {', '.join(OUTPUTS)}"
    own = limits.AGENT.model_copy(update=found.limits.model_dump(exclude_none=True))
    window = found.limits.window_tokens
    return Role(name, prompt, tuple(sorted(found.tools)), output, own, found.model, window)


def _output(given: str | OutputFields) -> Output | None:
    if isinstance(given, OutputFields):
        return output_of(given.description, given.fields)
    return OUTPUTS.get(given)
