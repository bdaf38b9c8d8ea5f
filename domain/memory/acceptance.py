"""What becomes of a proposed memory: refused, known already, accepted by rule, or it waits.

What an agent writes stems from what it has read, and so from text that nobody vouches for: it waits
for a person. By rule only the person's own words are accepted, which they asked to be remembered.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from domain.memory.memory import Draft, MemoryType, mark_of

MOST_WAITING: Final = 200
"""Proposals of a repository that may wait."""
MOST_OF_AGENT: Final = 5
"""Proposals of one task of a request that may wait."""
MOST_ACCEPTED: Final = 10_000
"""Memories of a repository."""
MOST_DECLINED: Final = 1_000
"""What a person has rejected or forgotten is not proposed again: so many of the last are known."""
RULE: Final = "rule: the person asked for it in the request, in these words"
"""By whom the person's own words are accepted."""

_SENTENCES: Final = re.compile(r"(?<=[.!?])\s+|\n\s*\n|\n(?=\s*[-*])")
_ASKED: Final = re.compile(r"(?i:please,? )?(?i:remember)(?::| that\b)\s*")
_FENCE: Final = re.compile(r"^\s*(```|~~~)")
_LEAST_CHARS: Final = 12


class Fate(StrEnum):
    """What becomes of a proposal."""

    REFUSED = "refused"
    KNOWN = "known"
    WAITS = "waits"
    ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True)
class Known:
    """What there is already; memories by name.

    Attributes:
        declined: marks of what a person rejected or forgot.
        of_agent: proposals that wait of the same task of the same request.
        words: the person's request; "" where it is not known.
    """

    accepted: Collection[str]
    waiting: Collection[str]
    declined: Collection[str]
    of_agent: int = 0
    words: str = ""


@dataclass(frozen=True, slots=True)
class ProposalVerdict:
    """What becomes of a proposal, and the sentence that its agent is told."""

    fate: Fate
    said: str


def judge(draft: Draft, known: Known, redact: Callable[[str], str]) -> ProposalVerdict:
    """Return what becomes of a draft; `redact` takes secrets out of a text."""
    if refused := _refused(draft, redact):
        return ProposalVerdict(Fate.REFUSED, refused)
    name = draft.name
    if name in known.accepted:
        return ProposalVerdict(Fate.KNOWN, f"This is remembered already, as {name}.")
    if mark_of(name) in known.declined:
        return ProposalVerdict(
            Fate.REFUSED, "A person does not want this remembered. Do not repeat it."
        )
    if name in known.waiting:
        return ProposalVerdict(
            Fate.KNOWN, f"This is proposed already, as {name}; a person will decide."
        )
    if asked_for(draft, known.words) and len(known.accepted) < MOST_ACCEPTED:
        return ProposalVerdict(Fate.ACCEPTED, f"Remembered as {name}: the person asked for it.")
    if known.of_agent >= MOST_OF_AGENT:
        return ProposalVerdict(
            Fate.REFUSED,
            f"{MOST_OF_AGENT} proposals of this task wait already: propose no more.",
        )
    if len(known.waiting) >= MOST_WAITING:
        return ProposalVerdict(
            Fate.REFUSED,
            f"{MOST_WAITING} proposals wait for a person already; no more are taken. Go on "
            "without it.",
        )
    return ProposalVerdict(
        Fate.WAITS, f"Proposed as {name}; a person decides whether it is remembered."
    )


def _refused(draft: Draft, redact: Callable[[str], str]) -> str:
    """Return what is wrong with a draft, "" for nothing."""
    if not draft.description or not draft.text:
        return "Nothing is said in description or text: fill both in."
    told = f"{draft.description}\n{draft.text}\n{draft.evidence}"
    if redact(told) != told:
        return "It holds a secret, or something of its shape. Say it without: name where it stands."
    return ""


def asked_for(draft: Draft, words: str) -> bool:
    """Return whether the person asked in their request for exactly this to be remembered.

    "Remember: prices are in cents." asks for that sentence. What stands in a quotation or in code
    may be another's words: it asks for nothing.
    """
    if draft.type not in {MemoryType.USER, MemoryType.FEEDBACK}:
        return False
    wanted = {_plain(draft.text), _plain(draft.description)}
    return wanted <= set(_orders(words)) and min(map(len, wanted)) >= _LEAST_CHARS


def _orders(words: str) -> list[str]:
    """Return the sentences that a request asks to remember, without their "remember"."""
    lines, fence = list[str](), ""
    for line in words.split("\n"):
        mark = _FENCE.match(line)
        own = not fence and mark is None and not line.lstrip().startswith(">")
        lines.append(line if own else "")
        if mark and fence in {"", mark[1]}:
            fence = "" if fence else mark[1]
    sentences = (each.strip(" \t\n-*") for each in _SENTENCES.split("\n".join(lines)))
    found = ((each, _ASKED.match(each)) for each in sentences)
    return [_plain(each[mark.end() :]) for each, mark in found if mark]


def _plain(text: str) -> str:
    return " ".join(text.split()).rstrip(".!").casefold()
