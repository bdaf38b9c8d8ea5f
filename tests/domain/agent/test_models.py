"""What calls cost, and what a budget buys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.agent import ModelPrices
from contracts.model import Usage
from domain.agent import models
from domain.agent.configuration import pinned_prices
from domain.agent.loop import affordable_output

TOKENS = st.integers(min_value=0, max_value=1_000_000)
NAMES = st.sampled_from([known.name for known in models.FACTS])


@pytest.mark.parametrize(
    ("name", "known"),
    [
        pytest.param("claude-opus-5-5", "claude-opus-5-5", id="exact"),
        pytest.param("claude-opus-5-5-20261101", "claude-opus-5-5", id="dated"),
        pytest.param("claude-opus-5-5 (rehearsed)", "claude-opus-5-5", id="rehearsed"),
        pytest.param("claude-opus-5", "claude-opus-5", id="the shorter name"),
        pytest.param("claude-opus-5-20260101", "claude-opus-5", id="the shorter name, dated"),
        pytest.param("claude-opus-5-latest", "claude-opus-5", id="the latest"),
    ],
)
def test_a_model_is_known_by_its_family(name: str, known: str) -> None:
    """Dates and suffixes do not matter, and no family is taken for another."""
    assert models.facts(name).name == known


@pytest.mark.parametrize("name", ["gpt-9", "claude-opus-5-9", "claude-opus-50", "opus", ""])
def test_no_price_is_made_up(name: str) -> None:
    """A model that nobody said a price of costs an unknown amount, also one with a similar name."""
    unknown = models.facts(name)

    assert not unknown.known
    assert models.cost_microusd(unknown, Usage(input_tokens=10**6, output_tokens=10**6)) == 0


def test_a_price_can_be_said() -> None:
    """What the user says of a model holds for it and its dated versions, also of a known one."""
    said = {
        "mine": models.with_price("mine", input_usd=2, output_usd=8, cached_usd=1),
        "claude-opus-5": models.with_price(
            "claude-opus-5", input_usd=1, output_usd=1, cached_usd=None
        ),
    }
    mine, opus = models.facts("mine-20261101", said), models.facts("claude-opus-5", said)

    assert (mine.known, mine.input_usd, mine.output_usd, mine.read_factor) == (True, 2, 8, 0.5)
    assert (opus.input_usd, opus.window_tokens) == (1, 1_000_000)
    assert models.facts("claude-sonnet-5", said).input_usd == 2


@pytest.mark.parametrize(
    ("model", "answered", "is_it"),
    [
        ("claude-opus-5", "claude-opus-5", True),
        ("claude-opus-5", "claude-opus-5-20261101", True),
        ("claude-opus-5", "claude-opus-5 (rehearsed)", True),
        ("claude-opus-5", "claude-opus-5-5", False),
        ("claude-opus-5", "", False),
    ],
)
def test_a_model_is_known_by_the_name_that_it_gives_itself(
    model: str, answered: str, *, is_it: bool
) -> None:
    """A dated name is the same model, a longer one another."""
    assert models.names_itself(model, answered) is is_it


@pytest.mark.parametrize("money", [0, -5, 10**6])
def test_money_does_not_limit_what_has_no_price(money: int) -> None:
    """Without a price a budget can hold nothing; a price of nothing is a price."""
    unknown = ModelPrices(input_usd=0, output_usd=0, max_output_tokens=9_000, known=False)
    free = unknown.model_copy(update={"known": True})

    assert affordable_output(unknown, context_tokens=10**6, money_microusd=money) == 9_000
    assert affordable_output(free, context_tokens=10**6, money_microusd=money) == (
        9_000 if money > 0 else 0
    )


def test_the_price_of_each_kind_of_token() -> None:
    """Opus 5.5: 4 in, 20 out, reads 5 %, writes 125 % for minutes and 200 % for an hour."""
    million = 1_000_000
    price = {
        "in": models.cost_microusd(models.facts("claude-opus-5-5"), Usage(input_tokens=million)),
        "out": models.cost_microusd(models.facts("claude-opus-5-5"), Usage(output_tokens=million)),
        "read": models.cost_microusd(
            models.facts("claude-opus-5-5"), Usage(cache_read_tokens=million)
        ),
        "5m": models.cost_microusd(
            models.facts("claude-opus-5-5"), Usage(cache_write_tokens=million)
        ),
        "1h": models.cost_microusd(
            models.facts("claude-opus-5-5"),
            Usage(cache_write_tokens=million, cache_write_1h_tokens=million),
        ),
    }

    assert price == {
        "in": 4_000_000, "out": 20_000_000, "read": 200_000, "5m": 5_000_000, "1h": 8_000_000,
    }  # fmt: skip


@given(NAMES, TOKENS, TOKENS, TOKENS, TOKENS)
def test_no_token_is_free_and_none_is_a_refund(
    name: str, fresh: int, read: int, written: int, out: int
) -> None:
    """More tokens of any kind never cost less, and a call that used any costs at
    least a millionth.
    """
    usage = Usage(
        input_tokens=fresh, cache_read_tokens=read, cache_write_tokens=written, output_tokens=out
    )
    cost = models.cost_microusd(models.facts(name), usage)
    more = models.cost_microusd(models.facts(name), usage.plus(Usage(output_tokens=1)))

    assert cost >= 0
    assert more > cost
    assert (cost > 0) == (usage.total_tokens > 0)


@given(NAMES, TOKENS, st.integers(min_value=-1_000, max_value=100_000_000))
def test_what_is_affordable_is_affordable(name: str, context: int, money: int) -> None:
    """Writing everything to the cache for an hour and replying with that much is within it."""
    output = affordable_output(
        pinned_prices(models.facts(name)),
        context_tokens=context,
        money_microusd=money,
    )
    worst = Usage(cache_write_tokens=context, cache_write_1h_tokens=context, output_tokens=output)

    assert output >= 0
    assert output == 0 or models.cost_microusd(models.facts(name), worst) <= money + 1
