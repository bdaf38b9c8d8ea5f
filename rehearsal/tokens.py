"""Tokens: one estimate, used by usage, limits and count_tokens alike."""

from typing import Final

BYTES_PER_TOKEN: Final = 3.6
"""Of English text and code with the tokenizer of 4.7 and later."""

BLOCK_OVERHEAD: Final = 4
"""Tokens that frame a block, whatever it holds."""

OLDER_RATIO: Final = 1.3
"""Models before 4.7 count fewer tokens for the same bytes, by this factor."""


def of_bytes(size: int, *, older: bool = False) -> int:
    """Return the tokens of ``size`` bytes of text, rounded up."""
    count = size / BYTES_PER_TOKEN
    return -int(-(count / OLDER_RATIO if older else count) // 1)


def of_block(size: int, *, older: bool = False) -> int:
    """Return the tokens of one block of ``size`` bytes, frame included."""
    return of_bytes(size, older=older) + BLOCK_OVERHEAD
