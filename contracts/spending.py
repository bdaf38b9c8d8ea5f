"""What agents have spent, and what the store notes so that it can be counted at any time."""

from contracts.base import Contract
from contracts.continuation import ContinuesLog
from contracts.model import Usage
from contracts.roles import RoleName


class AgentOpened(Contract):
    """An agent whose conversation was opened, as the store notes it for its request.

    Attributes:
        conversation: names the log, `refs/oc/conv/<conversation>`.
        agent: workflow id of the round that opened it; later rounds go on with it.
        task: "" for the planner.
        opened: seconds since the epoch, by the worker's clock.
        continues: of one that goes on with turns of another conversation; they are not its own.
        window: of the agent's windows, from 0; each is a conversation of its own.
        because: why the window before it ended; "" of the first.
    """

    conversation: str
    agent: str
    role: RoleName
    task: str = ""
    opened: float = 0.0
    window: int = 0
    because: str = ""
    continues: ContinuesLog | None = None

    @property
    def not_its_own(self) -> frozenset[str]:
        """The commit at which its own turns end in its log; nothing where all are its own."""
        return frozenset({self.continues.head} if self.continues else ())


class LostCall(Contract):
    """A call without a usable reply that may have to be paid for: broken off, or unreadable."""

    model: str
    usage: Usage
    cost_microusd: int
    priced: bool = True


class Spending(Contract):
    """What the agents of one role and one task have spent with one model.

    Attributes:
        task: "" for the planner.
        model: as it named itself; as it was asked for where no reply came.
        turns: finished replies, those that were discarded too.
        priced: False when the price of the model is not known; then the cost is 0.
    """

    role: RoleName
    task: str = ""
    model: str = ""
    turns: int = 0
    usage: Usage = Usage()
    cost_microusd: int = 0
    priced: bool = True

    def plus(self, turns: int, usage: Usage, cost_microusd: int) -> "Spending":
        """Return this with more turns of the same agents."""
        return self.model_copy(
            update={
                "turns": self.turns + turns,
                "usage": self.usage.plus(usage),
                "cost_microusd": self.cost_microusd + cost_microusd,
            }
        )
