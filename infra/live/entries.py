"""What a file of a running call holds: a line of JSON each, the first about the call."""

import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from domain.text import for_people, one_line


class Part(StrEnum):
    """What a piece of a reply is."""

    SAYS = "says"
    THINKS = "thinks"
    CALLS = "calls"
    """The name of a tool; what follows as INPUT are its arguments."""
    INPUT = "input"


@dataclass(frozen=True)
class CallAbout:
    """The running call.

    Attributes:
        conversation: by which the agent's log is found.
        task: as its agent is told it; "planner" of a planner.
        turn: counted from 1.
        again: how often this turn was begun before.
    """

    conversation: str
    role: str
    task: str
    turn: int
    again: int = 0


@dataclass(frozen=True)
class Piece:
    """What came next; `chars` counts all that came of the reply, shown or not."""

    part: Part
    text: str
    chars: int


def about_line(about: CallAbout) -> str:
    """Return the first line of a file."""
    return json.dumps(asdict(about)) + "\n"


def piece_line(piece: Piece) -> str:
    """Return one further line."""
    return json.dumps([piece.part, piece.text, piece.chars], ensure_ascii=False) + "\n"


def read_about(line: str) -> CallAbout | None:
    """Return what a first line says; None of one that cannot be read. Foreign text is harmless."""
    found = _json(line)
    if not isinstance(found, dict):
        return None
    try:
        return CallAbout(
            conversation=one_line(str(found["conversation"]), 200),
            role=one_line(str(found["role"]), 60),
            task=one_line(str(found["task"]), 60),
            turn=int(found["turn"]),
            again=int(found["again"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def read_piece(line: str) -> Piece | None:
    """Return what a further line says; None of one that cannot be read."""
    match _json(line):
        case [str(part), str(text), int(chars)] if part in set(Part):
            return Piece(Part(part), for_people(text, len(text)), chars)
        case _:
            return None


def _json(line: str) -> Any:  # noqa: ANN401, RUF100 - whatever stands there
    try:
        return json.loads(line)
    except ValueError:
        return None
