"""What a plan may cost, by what tasks have cost here before."""

from hypothesis import given
from hypothesis import strategies as st

from contracts import roles
from contracts.budget import CostEstimate, PastRequest, PastTask
from contracts.model import Usage
from contracts.request import RequestStatus
from contracts.spending import Spending
from contracts.task import TaskStatus
from contracts.visibility import RunState
from domain.agent.models import REHEARSED
from domain.request import expected_cost
from domain.scheduling import estimates

MODEL = "claude-sonnet-5-5"


def past(*costs: int, at: float = 1.0, model: str = MODEL, size: int = 10) -> PastRequest:
    """Return an earlier request whose tasks cost so much."""
    tasks = tuple(PastTask(model=model, size=size, cost_microusd=cost) for cost in costs)
    return PastRequest(at=at, tasks=tasks)


def found(sizes: list[int], *before: PastRequest, most: int = 40) -> CostEstimate:
    """Return the estimate of a plan."""
    return estimates.estimate(sizes, before, model=MODEL, turns_beside=15, most=most)


def test_without_a_past_nothing_is_made_up() -> None:
    """Neither tasks of another model nor rehearsed ones are a past for a real model."""
    others = past(1_000_000, model="claude-opus-5-5"), past(1_000_000, model=MODEL + REHEARSED)
    told = found([10, 10], *others)

    assert (told.past_tasks, told.low_microusd, told.high_microusd) == (0, 0, 0)
    assert expected_cost.in_words(told) == (
        f"no past here to estimate 2 tasks by: none has ended in this repository with {MODEL}"
    )
    assert expected_cost.warning(told, budget=1, spent=0) == ""


def test_the_middle_half_of_the_past_is_the_range() -> None:
    """Tasks of the same sizes cost what such tasks have cost; a dated name is the same model."""
    told = found([10, 10], past(100_000, 200_000, 300_000, 400_000, 500_000))
    assert (told.low_microusd, told.high_microusd) == (400_000, 800_000)
    assert expected_cost.in_words(told) == (
        f"about $0.40–$0.80, from 2 tasks; 5 tasks with {MODEL} cost $1.50 here before"
    )
    dated = found([10], past(100_000, model=f"{MODEL}-20261101"))
    assert dated.past_tasks == 1


def test_few_past_tasks_make_a_wide_range() -> None:
    """Of one task twice as much and half as much are both likely enough to be told."""
    told = found([10], past(100_000))
    assert (told.low_microusd, told.high_microusd) == (50_000, 200_000)


def test_a_larger_plan_costs_more() -> None:
    """A task is weighed by its estimated turns and by what every task costs beside."""
    before = past(250_000, 250_000, 250_000, 250_000, size=10)
    assert found([10], before).high_microusd == 250_000
    assert found([35], before).high_microusd == 500_000


def test_only_the_newest_tasks_count() -> None:
    """What tasks cost long ago says less than what they cost now."""
    told = found([10], past(9_000_000, at=1.0), past(100_000, 100_000, at=2.0), most=2)
    assert (told.past_tasks, told.past_microusd) == (2, 200_000)


def test_a_budget_below_the_low_end_is_told_with_how_to_raise_it() -> None:
    """What the planner has spent counts."""
    told = found([10] * 8, past(*[100_000] * 5))
    assert expected_cost.warning(told, budget=800_000, spent=0) == ""
    warned = expected_cost.told(told, budget=800_000, spent=1)
    assert warned.endswith(
        "The budget of $0.80 is likely too small; raise it at any time: `budget` with the dollars."
    )


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=20),
    st.lists(st.integers(0, 5_000_000), min_size=1, max_size=30),
)
def test_the_low_end_is_never_above_the_high_end(sizes: list[int], costs: list[int]) -> None:
    """Whatever the past was."""
    told = found(sizes, past(*costs))
    assert 0 <= told.low_microusd <= told.high_microusd


def test_tasks_of_unknown_price_and_tasks_without_a_coder_are_no_past() -> None:
    """A task counts with everything that it cost: coder and reviewer."""
    rows = tuple(TaskStatus(id=name, title=name, size=7) for name in ("a", "b", "c"))
    status = RequestStatus(id="request/x", state=RunState.DONE, tasks=rows)
    usage = Usage(input_tokens=1)

    def spent(task: str, role: str, cost: int, *, priced: bool = True) -> Spending:
        return Spending(
            role=role,
            task=task,
            model=MODEL,
            turns=1,
            usage=usage,
            cost_microusd=cost,
            priced=priced,
        )

    kept = estimates.past(
        status,
        (
            spent("", roles.PLANNER, 9),
            spent("a", roles.CODER, 30),
            spent("a", roles.REVIEWER, 12),
            spent("b", roles.CODER, 0, priced=False),
            spent("c", roles.REVIEWER, 5),
        ),
        at=3.0,
    )
    assert kept == PastRequest(at=3.0, tasks=(PastTask(model=MODEL, size=7, cost_microusd=42),))
