"""What is known of models: prices, windows, abilities. Dated data (`PRICES_OF`, `PRICES_FROM`).

Tuned freely: an agent goes by what was pinned at its start. What is not known is not made up: a
model without a price costs an unknown amount, and only turns and time limit it.

Cost of a call = p_in * (input + 1.25 * write_5m + 2 * write_1h + read_factor * cache_read)
               + p_out * output.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from contracts.model import Usage

REHEARSED = " (rehearsed)"
HOUR_FACTOR = 2.0
"""Price of a token that is written to the cache for an hour, as a multiple of the input price."""
PRICES_OF = "2026-11"
"""The month in which the prices were looked up."""
PRICES_FROM = "the vendor's price page; those of the 5.5 models as others quote it"


@dataclass(frozen=True)
class ModelFacts:
    """One model; prices are dollars per million tokens.

    Attributes:
        read_factor: price of a cached token as a share of the input price.
        known: the price is known; else it stands as 0.
        system_messages: takes `role: system` within the conversation.
    """

    name: str
    input_usd: float
    output_usd: float
    read_factor: float = 0.1
    window_tokens: int = 1_000_000
    max_output_tokens: int = 128_000
    system_messages: bool = False
    known: bool = True


FACTS: tuple[ModelFacts, ...] = (
    ModelFacts("claude-opus-5-5", 4, 20, 0.05, system_messages=True),
    ModelFacts("claude-sonnet-5-5", 2, 10, 0.05),
    ModelFacts("claude-haiku-5-5", 0.5, 2.5, 0.1),
    ModelFacts("claude-fable-5-1", 10, 50, 0.025),
    ModelFacts("claude-opus-5", 5, 25, system_messages=True),
    ModelFacts("claude-sonnet-5", 2, 10),
    ModelFacts("claude-opus-4-8", 5, 25, system_messages=True),
    ModelFacts("claude-haiku-4-5", 1, 5, window_tokens=200_000, max_output_tokens=64_000),
)

_UNKNOWN_WINDOW = 200_000
_UNKNOWN_OUTPUT = 32_000
_SAME = re.compile(r"(-\d{8}|@\d{8}|-latest|\[1m\])*")
"""What may follow a model's name without making it another model."""


def facts(model: str, own: Mapping[str, ModelFacts] = MappingProxyType({})) -> ModelFacts:
    """Return what is known of a model; `own` is what its user says, by name.

    A dated name counts as its family. Any other longer name is another model.
    """
    name = model.removesuffix(REHEARSED)
    said = next((own[each] for each in own if _is(name, each)), None)
    found = next((known for known in FACTS if _is(name, known.name)), None)
    return said or found or _unknown(name)


def with_price(
    name: str, *, input_usd: float, output_usd: float, cached_usd: float | None
) -> ModelFacts:
    """Return a model with its price as its user says, in dollars per million tokens."""
    known = facts(name)
    window, longest = known.window_tokens, known.max_output_tokens
    factor = 0.1
    if cached_usd is not None and input_usd:
        factor = cached_usd / input_usd
    return ModelFacts(
        name, input_usd, output_usd, factor, window_tokens=window, max_output_tokens=longest
    )


def _unknown(name: str) -> ModelFacts:
    return ModelFacts(
        name,
        0,
        0,
        window_tokens=_UNKNOWN_WINDOW,
        max_output_tokens=_UNKNOWN_OUTPUT,
        known=False,
    )


def names_itself(model: str, answered: str) -> bool:
    """Return whether a model of this name answered, by the name that it gave itself."""
    return _is(answered.removesuffix(REHEARSED), model)


def _is(name: str, known: str) -> bool:
    return name.startswith(known) and _SAME.fullmatch(name, len(known)) is not None


def cost_microusd(known: ModelFacts, usage: Usage) -> int:
    """Return what a call costs in millionths of a dollar, rounded up."""
    written_1h = usage.cache_write_1h_tokens
    written_5m = max(usage.cache_write_tokens - written_1h, 0)
    weighted = usage.input_tokens + 1.25 * written_5m + HOUR_FACTOR * written_1h
    weighted += known.read_factor * usage.cache_read_tokens
    return math.ceil(known.input_usd * weighted + known.output_usd * usage.output_tokens)
