"""Search of memories and of past conversations: the query, and the order of what is found."""

import math
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
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
_PASSAGE: Final = 200
"""Characters of a passage."""
_BEFORE: Final = 40
"""Characters shown before what was found."""
_MOST_PLACES: Final = 8
"""Of one word that are looked at."""
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


def passage(text: str, words: Sequence[str]) -> str:
    """Return the part of a text in which most of the words stand, or forms of them; on one line."""
    line = " ".join(text.split())
    lower = line.lower()
    stems = [word[: max(len(word) - 3, 4)].lower() for word in words]
    places = sorted(
        (found.start(), stem)
        for stem in stems
        for found in islice(re.finditer(re.escape(stem), lower), _MOST_PLACES)
    )
    if len(lower) != len(line) or not places:
        return _cut(line, 0)
    ends = (bisect_left(places, (start + _PASSAGE - _BEFORE,)) for start, _ in places)
    inside = (
        (len({stem for _, stem in places[number:end]}), -places[number][0])
        for number, end in enumerate(ends)
    )
    return _cut(line, -max(inside)[1])


def _cut(line: str, at: int) -> str:
    start = line.rfind(" ", 0, max(at - _BEFORE, 0)) + 1
    end = start + _PASSAGE
    if end < len(line):
        end = max(line.rfind(" ", start, end), start) or end
    return f"{'…' if start else ''}{line[start:end]}{'…' if end < len(line) else ''}"


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
