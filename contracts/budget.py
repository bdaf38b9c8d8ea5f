"""A request's money at its limit: who needs more, what a person sets, what tasks may cost."""

from abc import ABC, abstractmethod
from enum import StrEnum

from pydantic import Field
from temporalio import activity

from contracts.base import Contract, HumanInput, ShortText
from contracts.model_choice import ModelChoice
from contracts.store import RepositoryRef


class OnLimit(StrEnum):
    """What a request does when its budget does not allow the next call."""

    ASK = "ask"
    """It pauses and asks a person."""
    FINISH = "finish"
    """It pays for nothing more: what has landed is checked and delivered."""


class MoneyNeed(Contract):
    """An agent whose share of the budget does not allow its next call.

    Attributes:
        agent: workflow id of the agent, which waits for the answer.
        task: "" for the planner.
        role: of the agent.
        microusd: the least that is missing.
    """

    agent: str
    task: str = ""
    role: str = ""
    microusd: int


class MoneyAnswer(Contract):
    """What an agent gets: more money, or none and the reason."""

    microusd: int = 0
    reason: ShortText = ""


class SetBudget(HumanInput):
    """A request's new budget, as the update takes it.

    Attributes:
        usd: dollars for the whole request, with what is spent.
        code: where answers need one: `starter.py code` adds it.
    """

    usd: float = Field(gt=0, le=100_000)
    by: str = Field(default="", max_length=100)
    code: str | None = Field(default=None, max_length=100)


class BudgetChange(Contract):
    """A change of a budget, in microUSD, of which a code is made."""

    before: int
    after: int


class BudgetReceipt(Contract):
    """The reply to a new budget, in dollars."""

    budget_usd: float
    message: ShortText


class PastTask(Contract):
    """What one task has cost, all its agents together.

    Attributes:
        model: its coder's, as it named itself.
        size: turns that its plan estimated; 0 = not known.
    """

    model: str
    size: int = 0
    cost_microusd: int


class PastRequest(Contract):
    """The priced tasks of a request that has ended; `at` in seconds since the epoch."""

    at: float
    tasks: tuple[PastTask, ...] = ()


class EstimateCost(Contract):
    """Ask what a plan's tasks may cost, by what tasks have cost here.

    Attributes:
        sizes: of every task, in estimated turns.
        models: what the request asks for.
        answered: the model that answered its planner, as it named itself.
    """

    repository: RepositoryRef
    sizes: tuple[int, ...]
    models: ModelChoice = ModelChoice()
    answered: str = ""


class CostEstimate(Contract):
    """What a plan's tasks may cost.

    Attributes:
        tasks: of the plan.
        past_tasks: the tasks of earlier requests by which it is estimated; 0 = there are none, and
            the amounts say nothing.
        past_microusd: what those have cost together.
        model: of the coders, by which past tasks were chosen.
    """

    tasks: int
    low_microusd: int = 0
    high_microusd: int = 0
    past_tasks: int = 0
    past_microusd: int = 0
    model: str = ""


class EstimateActivities(ABC):
    """What tasks have cost here before; task queue `git`."""

    @activity.defn
    @abstractmethod
    async def estimate_cost(self, request: EstimateCost) -> CostEstimate:
        """Estimate a plan by the kept spending of earlier requests of its repository."""
