"""The limit of a request's money: whoever waits, no more is given than is free."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.approvals import ApprovalKind
from contracts.budget import MoneyNeed
from domain.scheduling import limit
from domain.scheduling.budget import dollars, microusd
from domain.scheduling.limit import Money

PROPERTY = settings(deadline=None, max_examples=200)
AMOUNTS = st.integers(0, 20_000_000)
NEEDS = st.lists(st.integers(1, 2_000_000), max_size=8)


def needs_of(amounts: list[int]) -> tuple[MoneyNeed, ...]:
    """Return an agent that waits for each amount, each of a task of its own."""
    return tuple(
        MoneyNeed(agent=f"agent-{n}", task=f"t{n}", role="coder", microusd=amount)
        for n, amount in enumerate(amounts)
    )


@PROPERTY
@given(
    total=AMOUNTS,
    spent=AMOUNTS,
    shares=st.lists(AMOUNTS, max_size=4),
    amounts=NEEDS,
    weights=st.lists(st.integers(0, 90), max_size=8),
    others=st.integers(0, 200),
)
def test_all_that_is_given_to_those_that_wait_was_free(
    total: int, spent: int, shares: list[int], amounts: list[int], weights: list[int], others: int
) -> None:
    """Each gets at least what it needs or nothing, and all together never more than is free."""
    money = Money(total, spent, {f"s{n}": share for n, share in enumerate(shares)})
    by_task = {f"t{n}": weight for n, weight in enumerate(weights)}
    given_out = limit.grants(money, needs_of(amounts), weights=by_task, others=others)

    assert sum(amount for _, amount in given_out) <= money.free
    assert all(amount >= need.microusd for need, amount in given_out)
    assert len({need.agent for need, _ in given_out}) == len(given_out)


@PROPERTY
@given(
    total=AMOUNTS,
    spent=AMOUNTS,
    amounts=NEEDS,
    unstarted=st.integers(0, 4),
    floor=st.integers(1, 300_000),
)
def test_with_the_proposed_budget_everything_that_waits_goes_on(
    total: int, spent: int, amounts: list[int], unstarted: int, floor: int
) -> None:
    """Nobody is asked twice for one pause: what a person approves suffices for all of it."""
    money, needs = Money(total, spent, {}), needs_of(amounts)
    least = limit.least(money, needs, unstarted=unstarted, floor=floor)
    proposed = limit.proposal(money, least)
    raised = Money(proposed, spent, {})
    given_out = limit.grants(raised, needs, weights={}, others=unstarted)

    assert proposed >= max(total, least)
    assert limit.problem(proposed / 1e6, money) == ""
    assert len(given_out) == len(needs)


@PROPERTY
@given(spent=AMOUNTS, share=AMOUNTS, usd=st.floats(0.01, 50))
def test_a_budget_below_what_is_given_away_is_refused_with_one_that_is_not(
    spent: int, share: int, usd: float
) -> None:
    """The amount that the refusal names can be set."""
    money = Money(50_000_000, spent, {"a": share})
    wrong = limit.problem(usd, money)

    assert bool(wrong) == (microusd(usd) < spent + share)
    if wrong:
        named = float(wrong.rsplit("$", 1)[1].rstrip(".").replace(",", ""))
        assert limit.problem(named, money) == ""


@pytest.mark.parametrize(
    "typed", [15, " $15 ", "$15.00", {"usd": 15}, {"budget_usd": "15", "by": "ann"}]
)
def test_a_budget_may_be_typed_in_many_ways(typed: object) -> None:
    """As the web UI, the `temporal` CLI and people write an amount."""
    found = limit.read(typed)

    assert not isinstance(found, str)
    assert found.usd == 15.0


@pytest.mark.parametrize(
    "typed",
    [None, True, "", "much", "nan", "inf", 0, -3, "1e9", [15], {}, {"usd": None}, {"usd": True}],
    ids=repr,
)
def test_what_is_no_amount_is_refused_in_a_sentence(typed: object) -> None:
    """The sentence shows what came and says what is meant."""
    assert "is not an amount of dollars between 0 and 100000" in str(limit.read(typed))


def test_an_unknown_key_of_a_budget_is_refused() -> None:
    """A mistyped key is not dropped."""
    assert limit.read({"usd": 15, "bye": "x"}) == (
        'A budget is a number of dollars, or {"usd": 15, "by": "…"}.'
    )


def test_the_question_names_amounts_and_who_waits() -> None:
    """A person sees what is spent, what is asked for, and what each answer does."""
    money = Money(10_000_000, 9_000_000, {"a": 900_000})
    needs = (MoneyNeed(agent="x", task="a", role="coder", microusd=120_000),)
    asked = limit.question(
        money, needs, ("b",), proposed=15_000_000, least_total=10_070_000, deadline_seconds=60
    )

    assert (asked.id, asked.kind) == ("budget", ApprovalKind.BUDGET)
    assert asked.what == "raise the budget from $10.00 to $15.00"
    assert asked.why.startswith("$9.90 of it is spent or reserved")
    assert "the coder of a: its next call may cost up to $0.12 more" in asked.detail
    assert "not started: b" in asked.detail
    other = limit.question(
        money, needs, ("b",), proposed=16_000_000, least_total=10_070_000, deadline_seconds=60
    )
    assert other.digest != asked.digest


def test_small_amounts_are_shown_with_more_digits() -> None:
    """An amount below ten cents is not shown as nothing."""
    shown = [dollars(amount) for amount in (0, 1_234, 99_999, 100_000, 1_234_567_890)]
    assert shown == ["$0.00", "$0.0012", "$0.1000", "$0.10", "$1,234.57"]
