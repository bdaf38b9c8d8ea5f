"""The estimate of tokens that usage, limits and count_tokens share."""

import math
from typing import Final

BYTES_PER_TOKEN: Final = 3.6
"""English text and code with the tokenizer of models from 4.7 on."""

BLOCK_OVERHEAD: Final = 4
"""Tokens added for each block."""

OLDER_RATIO: Final = 1.3
"""By this factor models before 4.7 count fewer tokens for the same bytes."""


def of_block(size: int, *, older: bool) -> int:
    """Return the tokens of one block of ``size`` bytes, rounded up, overhead included."""
    count = size / BYTES_PER_TOKEN
    return math.ceil(count / OLDER_RATIO if older else count) + BLOCK_OVERHEAD
