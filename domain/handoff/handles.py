"""Handles: the names by which an agent finds a turn or a result of its past.

`w2.t14` is turn 14 of its second window, `w2.t14.r1` what the first call of that turn came to;
`w2.t0` is what it was told when the window began. `a1.` before it names an earlier attempt.
"""

import re
from dataclasses import dataclass

from typing_extensions import override

_HANDLE = re.compile(r"(?:a(\d{1,4})\.)?w(\d{1,6})(?:\.t(\d{1,7})(?:\.r(\d{1,4}))?)?")


@dataclass(frozen=True, slots=True)
class Handle:
    """A place in an agent's past.

    Attributes:
        window: from 1.
        turn: from 1; 0 = the window's opening.
        result: of the turn's calls, from 1; 0 = the whole turn.
        attempt: an earlier one, from 1; 0 = this one.
    """

    window: int
    turn: int = 0
    result: int = 0
    attempt: int = 0

    @override
    def __str__(self) -> str:
        """Return it as an agent writes it."""
        before = f"a{self.attempt}." if self.attempt else ""
        after = f".r{self.result}" if self.result else ""
        return f"{before}w{self.window}.t{self.turn}{after}"


def parsed(text: str) -> Handle | None:
    """Return the handle that a text names, None when it is none."""
    found = _HANDLE.fullmatch(text.strip().strip("[]`"))
    if found is None:
        return None
    attempt, window, turn, result = (int(part or 0) for part in found.groups())
    return Handle(window, turn, result, attempt)
