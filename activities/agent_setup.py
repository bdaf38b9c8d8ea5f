"""How an agent is set up: its role's file, its tools, its model and that model's prices."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from activities.tools.registry import tools_by_name
from contracts.handoff import HANDOFF
from contracts.model_choice import ModelChoice
from contracts.tools import FINISH
from domain.agent import models
from domain.agent.configuration import AgentConfiguration, configure
from domain.agent.model_choice import model_of
from domain.agent.outputs import finish_tool
from domain.handoff.tool import handoff_tool
from domain.tools.registry import ToolSpec
from infra.roles.files import RoleFiles

_WORKERS = ModelChoice()
"""No choice: the worker's settings count."""


class AgentSetup:
    """Resolves roles.

    Args:
        model_for: the model's name by role, by the worker's settings.
        effort: the API's effort level; None leaves the model's default.
        fallback: the model that is asked where another declines or is overloaded for long; None
            asks no other.
        prices: what the user says of models, in dollars per million tokens.
        window_tokens: after which agents go on in a fresh window, where neither their request nor
            their role says so; None takes that of domain/limits.py.
    """

    def __init__(
        self,
        roles: RoleFiles,
        *,
        model_for: Callable[[str], str],
        effort: str | None = None,
        fallback: str | None = None,
        prices: Mapping[str, Mapping[str, float]] = MappingProxyType({}),
        window_tokens: int | None = None,
    ) -> None:
        self._prices = {
            name: models.with_price(
                name,
                input_usd=said["input"],
                output_usd=said["output"],
                cached_usd=said.get("cached"),
            )
            for name, said in prices.items()
        }
        self._roles = roles
        self._model_for = model_for
        self._effort = effort
        self._fallback = fallback
        self._window_tokens = window_tokens

    def configure(self, role: str, choice: ModelChoice = _WORKERS) -> AgentConfiguration:
        """Return the configuration of an agent that starts now, by its request's choice.

        Raises:
            RoleError: there is no such role, or its file cannot be used.
        """
        found = self._roles.get(role, tools=tools_by_name())
        specs = [tools_by_name()[name].spec for name in found.tools]
        model = model_of(choice, role, of_role=found.model) or self._model_for(role)
        return configure(
            found,
            [*specs, finish_tool(found.output), handoff_tool()],
            model=model,
            effort=choice.effort or self._effort,
            prices=models.facts(model, self._prices),
            fallback=self._other(choice.fallback or self._fallback),
            window_tokens=choice.window_tokens or found.window_tokens or self._window_tokens,
        )

    def _other(self, name: str | None) -> models.ModelFacts | None:
        """Return what is known of the fallback model, by the name that the service knows."""
        return replace(models.facts(name, self._prices), name=name) if name else None

    def tools(self, agent: AgentConfiguration) -> dict[str, ToolSpec]:
        """Return the tools that check an agent's calls: those pinned that still exist.

        Raises:
            RoleError: its role's file cannot be used any more.
        """
        tools = tools_by_name()
        specs = {tool.name: tools[tool.name].spec for tool in agent.tools if tool.name in tools}
        output = self._roles.get(agent.role, tools=tools).output
        return {**specs, FINISH: finish_tool(output), **_handoff(agent)}


def _handoff(agent: AgentConfiguration) -> dict[str, ToolSpec]:
    """Return the tool of agents that have windows; those from before 2026-12 have one window."""
    return {HANDOFF: handoff_tool()} if agent.tool(HANDOFF) else {}
