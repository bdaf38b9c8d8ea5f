"""Search of memories and of past conversations: the query, and the order of what is found."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MOST_WORDS: Final = 16
"""Words of a query that count."""
_WORD: Final = re.compile(r"\w+")
_COMMON_WORDS: Final = (
    "a an and are as at be but by do does for from has have how i if in is it its no not of on or "
    "that the this to was we what when where which who why will with you"
)
_COMMON: Final = frozenset(_COMMON_WORDS.split())
_PER_CONVERSATION: Final = 2
_DAY: Final = 86_400.0
_HALF_LIFE_DAYS: Final = 180.0


@dataclass(frozen=True, slots=True)
class Hit:
    """One place that a search found.

    Attributes:
        memory: its name; "" for a turn of a conversation.
        conversation: "" for a memory.
        agent: workflow id of the agent that spoke, or that proposed the memory.
        title: its description; of a turn its role and number.
        turn: number of the turn, 0 for the opening.
        at: seconds since 1970.
        passage: the words around what was found.
        relevance: larger is better; of the index.
        used: how often the memory was used.
    """

    memory: str
    conversation: str
    agent: str
    title: str
    turn: int
    at: float
    passage: str
    relevance: float
    used: int = 0


def words_of(query: str) -> list[str]:
    """Return the words of a query that count; the common ones only where there are no others."""
    words = list(dict.fromkeys(_WORD.findall(query.casefold())))
    return ([word for word in words if word not in _COMMON] or words)[:MOST_WORDS]


def match_all(words: Sequence[str]) -> str:
    """Return the full-text query for texts that hold all the words."""
    return " ".join(map(_quoted, words))


def match_any(words: Sequence[str]) -> str:
    """Return the full-text query for texts that hold any of the words."""
    return " OR ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    doubled = word.replace('"', '""')
    return f'"{doubled}"'


def ranked(hits: Sequence[Hit], *, now: float, most: int) -> list[Hit]:
    """Return the best hits in order: what fits, counts more when it is newer or was used.

    Of one conversation at most two, so that others are seen.
    """
    best = sorted(hits, key=lambda hit: (-_score(hit, now), hit.memory, hit.conversation, hit.turn))
    kept, seen = list[Hit](), dict[str, int]()
    for hit in best:
        seen[hit.conversation] = seen.get(hit.conversation, 0) + bool(hit.conversation)
        if seen[hit.conversation] <= _PER_CONVERSATION:
            kept.append(hit)
    return kept[:most]


def _score(hit: Hit, now: float) -> float:
    age = max(now - hit.at, 0.0) / _DAY
    recency = 0.5 + 0.5 * math.exp2(-age / _HALF_LIFE_DAYS)
    return hit.relevance * recency * (1.0 + 0.1 * math.log1p(max(hit.used, 0)))
