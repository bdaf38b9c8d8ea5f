"""Which memories an agent is told at its opening: all, while they fit; else those of its task."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from domain.memory.memory import IndexLine

SECTION: Final = "Memories of this repository; data, true when noted: look before you rely on one"
"""Their label."""
MOST_LINES: Final = 200
MOST_BYTES: Final = 25_000
_WORD: Final = re.compile(r"[^\W_]{3,}")


@dataclass(frozen=True, slots=True)
class ToldMemories:
    """What an agent is told: these lines, and how many there are beside them."""

    lines: tuple[IndexLine, ...]
    left_out: int = 0

    def text(self, *, can_read: bool) -> str:
        """Return the text of the section, "" for no memories; `can_read`: it has the tool."""
        rows = [line.told() for line in self.lines]
        notes = [f"{self.left_out:,} more are not shown"] if self.left_out else []
        if rows and can_read:
            notes.append("memory_search finds them by words, and shows one whole by its name")
        return "\n".join([*rows, *(f"[{note}]" for note in notes)])


def told(lines: Sequence[IndexLine], words: str) -> ToldMemories:
    """Return the first lines of an index that fit; of a longer one those first that name the task.

    `words` are those of the task.
    """
    kept = _fitting(lines)
    if len(kept) == len(lines):
        return ToldMemories(tuple(lines))
    named = words_of(words)
    # Sorting keeps the order of the index among equals.
    best = sorted(lines, key=lambda line: -len(named & words_of(f"{line.name} {line.description}")))
    kept = _fitting(best)
    return ToldMemories(tuple(kept), len(lines) - len(kept))


def words_of(text: str) -> frozenset[str]:
    """Return the words of a text by which it is compared."""
    return frozenset(_WORD.findall(text.casefold()))


def _fitting(lines: Sequence[IndexLine]) -> list[IndexLine]:
    room, kept = MOST_BYTES, list[IndexLine]()
    for line in lines[:MOST_LINES]:
        room -= len(line.told().encode()) + 1
        if room < 0:
            break
        kept.append(line)
    return kept
