"""What calls cost, and what a budget buys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.agent import ModelPrices
from contracts.model import Usage
from domain.agent import models
from domain.agent.loop import affordable_output

TOKENS = st.integers(min_value=0, max_value=1_000_000)
NAMES = st.sampled_from([*(known.name for known in models.FACTS), "nobody-knows"])


@pytest.mark.parametrize(
    ("name", "known"),
    [
        pytest.param("claude-opus-5-5", "claude-opus-5-5", id="exact"),
        pytest.param("claude-opus-5-5-20261101", "claude-opus-5-5", id="dated"),
        pytest.param("claude-opus-5-5 (rehearsed)", "claude-opus-5-5", id="rehearsed"),
        pytest.param("claude-opus-5", "claude-opus-5", id="the shorter name"),
        pytest.param("claude-opus-5-20260101", "claude-opus-5", id="the shorter name, dated"),
        pytest.param("gpt-9", "unknown", id="unknown"),
    ],
)
def test_a_model_is_known_by_its_family(name: str, known: str) -> None:
    """Dates and suffixes do not matter, and no family is taken for another."""
    assert models.facts(name).name == known


def test_an_unknown_model_is_priced_as_the_dearest() -> None:
    """A budget holds whatever model is asked."""
    unknown = models.facts("nobody-knows")

    assert unknown.input_usd >= max(known.input_usd for known in models.FACTS)
    assert unknown.output_usd >= max(known.output_usd for known in models.FACTS)


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
            models.facts("claude-opus-5-5"), Usage(cache_write_tokens=million), written_1h=million
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
    """Reading everything uncached into the cache and writing that much stays within the money."""
    output = affordable_output(
        ModelPrices.model_validate(models.facts(name), from_attributes=True),
        context_tokens=context,
        money_microusd=money,
    )
    worst = Usage(cache_write_tokens=context, output_tokens=output)

    assert output >= 0
    assert output == 0 or models.cost_microusd(models.facts(name), worst) <= money + 1
