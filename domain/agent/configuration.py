"""An agent's configuration: resolved once, frozen, kept in the store under its content's id.

Its prompt, tools, model, prices and limits hold for the whole agent. What is not in it holds as it
is at the moment: the rules that judge a call, the code that carries a tool out.
"""

from collections.abc import Iterable
from dataclasses import replace

from pydantic import JsonValue

from contracts.agent import AgentConfig, AgentLimits, ModelPrices
from contracts.base import Contract
from contracts.tools import ApprovalClass, RetryClass
from contracts.verdicts import Effect
from domain.agent.models import HOUR_FACTOR, ModelFacts
from domain.agent.roles import Role
from domain.tools.registry import ToolSpec


class PinnedTool(Contract):
    """A tool as the Messages API tells the model of it, and how its calls are handled."""

    name: str
    definition: dict[str, JsonValue]
    effect: Effect
    retry: RetryClass
    approval: ApprovalClass
    subject: str


class AgentConfiguration(Contract):
    """Everything that an agent begins with, but its task.

    Attributes:
        effort: the API's effort level; None leaves the model's default.
        tools: sorted by name: the order in which the model is told of them.
        fallback: the model that is asked instead, and its prices; None where none is allowed.
    """

    role: str
    model: str
    effort: str | None
    system: str
    tools: tuple[PinnedTool, ...]
    prices: ModelFacts
    limits: AgentLimits
    fallback: ModelFacts | None = None

    def pinned(self, oid: str) -> AgentConfig:
        """Return what the agent's workflow needs of it; `oid` is its id in the store."""
        other = self.fallback and pinned_prices(self.fallback)
        return AgentConfig(
            id=oid,
            limits=self.limits,
            prices=pinned_prices(self.prices),
            fallback=other,
            settles_calls=True,
        )

    def asked(self, *, fallback: bool) -> ModelFacts:
        """Return the model that is asked, by its name, with its prices."""
        return (self.fallback if fallback else None) or replace(self.prices, name=self.model)

    def request_fields(self) -> dict[str, JsonValue]:
        """Return the fields of every request of the agent, in their order on the wire."""
        fields: dict[str, JsonValue] = {
            "model": self.model,
            "system": self.system,
            "tools": [tool.definition for tool in self.tools],
        }
        if self.effort:
            fields["output_config"] = {"effort": self.effort}
        return fields

    def tool(self, name: str) -> PinnedTool | None:
        """Return a tool by its name, None when the agent has none of that name."""
        return next((tool for tool in self.tools if tool.name == name), None)


def configure(
    role: Role,
    specs: Iterable[ToolSpec],
    *,
    model: str,
    effort: str | None,
    prices: ModelFacts,
    fallback: ModelFacts | None = None,
    window_tokens: int | None = None,
) -> AgentConfiguration:
    """Return the configuration of an agent that starts now; `specs` with its `finish`.

    A fallback that is the model itself is none. `window_tokens` counts instead of the role's
    limit, as far as the models hold it.
    """
    return AgentConfiguration(
        role=role.name,
        model=model,
        effort=effort,
        system=role.prompt,
        tools=tuple(_pinned(spec) for spec in sorted(specs, key=lambda spec: spec.name)),
        prices=prices,
        limits=_fitting(_windowed(role.limits, window_tokens), prices, fallback),
        fallback=None if fallback is None or fallback.name == model else fallback,
    )


def _windowed(limits: AgentLimits, window_tokens: int | None) -> AgentLimits:
    return limits.model_copy(update={"window_tokens": window_tokens or limits.window_tokens})


def _fitting(limits: AgentLimits, *known: ModelFacts | None) -> AgentLimits:
    """Return limits whose window fits the models', with room for the note and a turn's results."""
    most = min(model.window_tokens * 7 // 10 for model in known if model)
    return limits.model_copy(update={"window_tokens": min(limits.window_tokens, most)})


def pinned_prices(known: ModelFacts) -> ModelPrices:
    """Return the prices at which a call is reserved: all of its context written for an hour."""
    prices = ModelPrices.model_validate(known, from_attributes=True)
    return prices.model_copy(update={"write_factor": HOUR_FACTOR})


def _pinned(spec: ToolSpec) -> PinnedTool:
    return PinnedTool(
        name=spec.name,
        definition=spec.definition(),
        effect=spec.effect,
        retry=spec.retry,
        approval=spec.approval,
        subject=spec.subject,
    )
