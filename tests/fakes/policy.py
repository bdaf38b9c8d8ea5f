"""What the fakes record of tools and agents: the verdicts and configuration of the product."""

from activities.tools.registry import tools_by_name
from contracts.agent import AgentConfig, AgentLimits, ModelPrices
from contracts.handoff import HANDOFF
from contracts.permissions import RequestPermissions
from contracts.tools import FINISH
from contracts.verdicts import CallVerdict, Effect
from domain.agent import models
from domain.agent.configuration import pinned_prices
from domain.limits import AGENT
from domain.policy.judge import Policy, judge

_NO_RULES = Policy(RequestPermissions(), {})


def effect_of(name: str) -> Effect | None:
    """Return what a tool may change, None for one that there is not."""
    tool = tools_by_name().get(name)
    return tool.spec.effect if tool else Effect.END if name in {FINISH, HANDOFF} else None


def verdict_of(name: str, subject: str) -> CallVerdict | None:
    """Return how a call is judged."""
    tool = tools_by_name().get(name)
    return judge(_NO_RULES, tool.spec, {tool.spec.subject: subject}) if tool else None


def prices_of(model: str) -> ModelPrices:
    """Return a model's prices as the product pins them."""
    return pinned_prices(models.facts(model))


def config_of(model: str, limits: AgentLimits | None = None) -> AgentConfig:
    """Return the pinned configuration of an agent; limits are those of a coder when left out."""
    return AgentConfig(
        id="c" * 40, limits=limits or AGENT, prices=prices_of(model), settles_calls=True
    )
