"""The estimate of tokens that usage, limits and count_tokens share."""

from typing import Final

BYTES_PER_TOKEN: Final = 3.6
"""English text and code with the tokenizer of models from 4.7 on."""

BLOCK_OVERHEAD: Final = 4
"""Tokens added for each block."""

OLDER_RATIO: Final = 1.3
"""By this factor models before 4.7 count fewer tokens for the same bytes."""


def of_bytes(size: int, *, older: bool = False) -> int:
    """Return the tokens of ``size`` bytes of text, rounded up."""
    count = size / BYTES_PER_TOKEN
    return -int(-(count / OLDER_RATIO if older else count) // 1)


def of_block(size: int, *, older: bool = False) -> int:
    """Return the tokens of one block of ``size`` bytes, overhead included."""
    return of_bytes(size, older=older) + BLOCK_OVERHEAD
