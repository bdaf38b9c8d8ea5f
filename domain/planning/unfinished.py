"""A task that its agent hands in as one that cannot be done as it stands: what is done about it.

Part of what histories mean: workflows call it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.planning import Claim, TaskSpec
from contracts.tools import CoderFinish
from contracts.verdicts import PathVerdict, Permission
from domain.planning import write_patterns
from domain.text import clip, listing, one_line

_REASON_CHARS = 600
_GRANT_CHARS = 1_000
_ASK_AGAIN = (
    "Nothing is decided about what you named in `cannot_pass`: where it still holds, name it again."
)
GO_ON = "Go on with the task, then finish again."


@dataclass(frozen=True)
class Settled:
    """What becomes of it.

    Attributes:
        task: as it is from here on.
        message: what its agent is told, which goes on; "" when the change is taken as it is.
        dropped: the commands that a person has dropped.
        granted: more paths that the task may change, and by what; "" for none.
    """

    task: TaskSpec
    message: str = ""
    dropped: tuple[str, ...] = ()
    granted: str = ""


def asks(finish: CoderFinish) -> bool:
    """Return whether an agent says that its task cannot be done as it stands."""
    return bool(finish.blocked.strip() or finish.cannot_pass or finish.needs_paths)


def reason(finish: CoderFinish) -> str:
    """Return why, as its agent says."""
    return one_line(finish.blocked.strip() or finish.summary, _REASON_CHARS)


def refused(paths: Sequence[str]) -> str:
    """Return why paths cannot be asked for, "" when they can."""
    found = ((path, write_patterns.refusal(write_patterns.normal(path))) for path in paths)
    return "; ".join(f"{one_line(path, 80)!r} {why}" for path, why in found if why)


def free(verdicts: Sequence[PathVerdict]) -> bool:
    """Return whether all paths that an agent asks for may be granted without a person."""
    return all(verdict.permission is Permission.ALLOW for verdict in verdicts)


def grounds(verdicts: Sequence[PathVerdict]) -> str:
    """Return why paths may be granted, each reason once."""
    return "; ".join(dict.fromkeys(verdict.reason for verdict in verdicts if verdict.reason))


def doubts(verdicts: Sequence[PathVerdict]) -> str:
    """Return why a person decides about paths."""
    asked = (each for each in verdicts if each.permission is not Permission.ALLOW)
    return listing(tuple(f"{each.path}: {each.reason}" for each in asked))


def owners(paths: Sequence[str], claims: Sequence[Claim]) -> tuple[str, ...]:
    """Return the other tasks that write any of these paths, as it was asked before 2026-12."""
    wanted = [write_patterns.reach(path) for path in paths]
    return tuple(
        claim.task
        for claim in claims
        if any(
            write_patterns.meet(one, write_patterns.reach(pattern))
            for one in wanted
            for pattern in claim.writes
        )
    )


def answered(by: str, reason: str) -> str:
    """Return what an agent is told that a person answers with words of their own."""
    return f"{by} answers: {reason}\n{GO_ON}"


def granted(task: TaskSpec, paths: Sequence[str], *, by: str, finish: CoderFinish) -> Settled:
    """Return the task with more paths that it may change; `by` says who or what allows it.

    Paths are settled first: what is asked for besides has to be asked again.
    """
    more = tuple(write_patterns.normal(path) for path in paths)
    writes = tuple(dict.fromkeys((*task.writes, *more)))
    again = f" {_ASK_AGAIN}" if finish.cannot_pass else ""
    message = f"You may change {listing(more)} too: {by}.{again} {GO_ON}"
    grant = clip(f"{listing(more, most=20)}: {by}", _GRANT_CHARS)
    return Settled(task.model_copy(update={"writes": writes}), message, granted=grant)


def commands(task: TaskSpec, named: Sequence[str], red: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the acceptance commands, and the checks `red` before any change, that are named."""
    wanted = {name.strip() for name in named}
    known = dict.fromkeys((*task.acceptance, *red))
    return tuple(command for command in known if command.strip() in wanted)


def without(task: TaskSpec, dropped: Sequence[str]) -> Settled:
    """Return the task without the commands that a person has dropped."""
    left = tuple(command for command in task.acceptance if command not in dropped)
    return Settled(task.model_copy(update={"acceptance": left}), dropped=tuple(dropped))


def misnamed(task: TaskSpec, red: Sequence[str] = ()) -> str:
    """Return what an agent is told that names a command which is none of its task's."""
    return (
        "What you name in `cannot_pass` is none of the acceptance commands. They are:\n"
        + "\n".join((*task.acceptance, *red))
        + f"\n{GO_ON}"
    )
