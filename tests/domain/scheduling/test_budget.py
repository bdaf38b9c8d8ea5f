"""Money leases: whatever tasks do, the sum granted stays within the budget."""

from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.limits import RequestLimits
from contracts.planning import Plan, TaskSpec
from domain.scheduling.budget import grant, microusd, usd, weights

FLOOR = 50_000
SMALL_TASK = TaskSpec(
    id="a", title="a", goal="It is done", writes=("a.py",), acceptance=("true",), size=5
)
PROPERTY = settings(deadline=None, max_examples=200)


@PROPERTY
@given(
    total=st.integers(0, 20_000_000),
    floor=st.integers(0, 300_000),
    steps=st.lists(st.tuples(st.booleans(), st.floats(0, 1)), max_size=40),
)
def test_the_sum_of_leases_and_spending_never_exceeds_the_budget(
    total: int, floor: int, steps: list[tuple[bool, float]]
) -> None:
    """Tasks come and settle in any order, each spends any part of its lease."""
    spent, leases = 0, list[int]()
    for comes, share in steps:
        if comes:
            lease = grant(total, spent=spent, reserved=sum(leases), of=3, floor=floor)
            assert lease == 0 or lease >= max(1, floor)
            leases += [lease] if lease else []
        elif leases:
            spent += int(leases.pop(0) * share)

        assert spent + sum(leases) <= total


@PROPERTY
@given(st.integers(0, 10_000_000), st.integers(1, 24))
def test_waiting_tasks_share_evenly_as_long_as_the_floor_allows(total: int, waiting: int) -> None:
    """Granted one after the other, the leases differ by a microdollar or go down to nothing."""
    leases = list[int]()
    for left in range(waiting, 0, -1):
        leases.append(grant(total, spent=0, reserved=sum(leases), of=left, floor=FLOOR))

    paid = [lease for lease in leases if lease]
    assert leases == paid + [0] * (waiting - len(paid))
    if total >= waiting * FLOOR:
        assert sum(leases) == total
        assert max(leases) - min(leases) <= 1
    else:
        assert len(paid) == total // FLOOR


def test_a_large_task_gets_more_money_than_a_small_one() -> None:
    """Money is shared by the sizes that the plan estimates, and by what each task costs beside."""
    plan = Plan(
        summary="two", tasks=(SMALL_TASK, SMALL_TASK.model_copy(update={"id": "b", "size": 85}))
    )
    weights_of = weights(plan, turns_beside=15)
    first = grant(1_000_000, spent=0, reserved=0, weight=weights_of["b"], of=120, floor=FLOOR)
    second = grant(1_000_000, spent=0, reserved=first, weight=20, of=20, floor=FLOOR)

    assert weights_of == {"a": 20, "b": 100}
    assert (first, second) == (833_333, 166_667)


def test_a_request_of_earlier_code_shares_evenly() -> None:
    """Histories that know no number for what is beside a task's size come to the same leases."""
    plan = Plan(summary="one", tasks=(SMALL_TASK,))
    assert weights(plan, turns_beside=RequestLimits().turns_beside) == {"a": 1}


def test_a_budget_overspent_grants_nothing() -> None:
    """A bill larger than its lease ends the granting; it never goes below zero."""
    assert grant(1_000_000, spent=1_200_000, reserved=0, of=1, floor=FLOOR) == 0


def test_money_is_converted_to_the_nearest() -> None:
    """Ten dollars and ten cents are exact."""
    assert microusd(10.1) == 10_100_000
    assert usd(10_100_000) == 10.1
