"""The turns of a task: which of them count, once it has gone back to an earlier one."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

from contracts.continuation import ContinuationKind
from domain.text import listing

_SAID = MappingProxyType(
    {
        ContinuationKind.ROLLBACK: "The person rolled this task back to the state after your turn "
        "{turn}: the files and this conversation are as they were then, and what came after is "
        "undone.",
        ContinuationKind.REPAIR: "What came after your turn {turn} was damaged on the disk and "
        "cannot be used: the files and this conversation are as they were after that turn. Go on "
        "from there.",
        ContinuationKind.FORK: "From here on the person wants this task done differently. Another "
        "agent may do it as before; only one of the two results is taken.",
        ContinuationKind.TAKEN_OVER: "The person took this task over after your turn {turn}, "
        "worked on its files, and has given it back: the files are as they left them. See what "
        "they did before you go on, and do not undo it; what is missing is yours again.",
    }
)
_MOST_CHANGED = 40
_ELSEWHERE = "Where other work has landed since, your worktree holds it too: read before you edit."


@dataclass(frozen=True, slots=True)
class TurnPlace:
    """Where a turn stands among those of its task.

    Attributes:
        commit: in its conversation's log.
        opened: when its agent began, in seconds since the epoch.
        changes: its agent is one that changes files.
    """

    commit: str
    opened: float
    changes: bool


@dataclass(frozen=True, slots=True)
class WentBack:
    """A task went back to a turn.

    Attributes:
        opened: when the agent that goes on from there began.
        line: the commits of that turn and of all before it in its conversation, oldest first.
    """

    opened: float
    line: tuple[str, ...]


def undone(turns: Sequence[TurnPlace], back: Sequence[WentBack]) -> frozenset[str]:
    """Return the commits of the turns that do not count any more; `turns` in the order of time.

    The last going back decides: of all turns of agents from before it those count that lead to its
    turn, and of agents that change nothing those that followed one of these, but for the last.
    """
    if not back:
        return frozenset()
    last = max(back, key=lambda each: each.opened)
    leads, inner = frozenset(last.line), frozenset(last.line[:-1])
    found: list[str] = []
    before = ""
    for turn in turns:
        if turn.opened >= last.opened:
            continue
        if turn.changes:
            before = turn.commit
        counts = turn.commit in leads if turn.changes else not before or before in inner
        if not counts:
            found.append(turn.commit)
    return frozenset(found)


def told(kind: ContinuationKind, turn: int, words: str, changed: tuple[str, ...] = ()) -> str:
    """Return what an agent is told first that goes on after one of its turns.

    `changed`: the paths of files that a person has changed since.
    """
    said = f"{_SAID[kind].format(turn=turn)} {_ELSEWHERE}"
    if kind is ContinuationKind.TAKEN_OVER:
        said += f"\n\nChanged by them: {listing(changed, most=_MOST_CHANGED) or 'nothing'}."
    return f"{said}\n\nThe person says: {words}" if words.strip() else said


def reason(kind: ContinuationKind, turn: int, damage: str) -> str:
    """Return why a task goes on from a turn, for people."""
    match kind:
        case ContinuationKind.ROLLBACK:
            why = f"rolled back to the state after turn {turn}"
        case ContinuationKind.FORK:
            why = f"forked after turn {turn}"
        case ContinuationKind.REPAIR:
            why = f"goes on after turn {turn}"
        case ContinuationKind.TAKEN_OVER:
            why = f"given back by a person, who took it over after turn {turn}"
    return f"{why}; {damage}" if damage else why
