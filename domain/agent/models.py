"""What is known of models: prices, windows, abilities. Dated data, of November 2026.

Tuned freely: an agent goes by what was pinned at its start.

Cost of a call = p_in * (input + 1.25 * write_5m + 2 * write_1h + read_factor * cache_read)
               + p_out * output.
"""

import math
from dataclasses import dataclass

from contracts.model import Usage

REHEARSED = " (rehearsed)"


@dataclass(frozen=True)
class ModelFacts:
    """One model; prices are dollars per million tokens.

    Attributes:
        read_factor: price of a cached token as a share of the input price.
        system_messages: takes `role: system` within the conversation.
    """

    name: str
    input_usd: float
    output_usd: float
    read_factor: float = 0.1
    window_tokens: int = 1_000_000
    max_output_tokens: int = 128_000
    system_messages: bool = False


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

_UNKNOWN = ModelFacts("unknown", 10, 50, window_tokens=200_000, max_output_tokens=32_000)
"""A model that the table lacks is priced as the dearest, so that a budget still holds."""


def facts(model: str) -> ModelFacts:
    """Return what is known of a model; a dated or suffixed name counts as its family."""
    name = model.removesuffix(REHEARSED)
    return next((known for known in FACTS if name.startswith(known.name)), _UNKNOWN)


def cost_microusd(known: ModelFacts, usage: Usage, *, written_1h: int = 0) -> int:
    """Return what a call costs in millionths of a dollar, rounded up.

    `written_1h` is the part of the cache writes that was kept for an hour.
    """
    written_5m = max(usage.cache_write_tokens - written_1h, 0)
    weighted = usage.input_tokens + 1.25 * written_5m + 2 * written_1h
    weighted += known.read_factor * usage.cache_read_tokens
    return math.ceil(known.input_usd * weighted + known.output_usd * usage.output_tokens)
