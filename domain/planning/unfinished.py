"""A task that its agent hands in as one that cannot be done as it stands: what is done about it.

Part of what histories mean: workflows call it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.planning import Claim, TaskSpec
from contracts.tools import CoderFinish
from domain.planning import write_patterns
from domain.text import listing, one_line

_REASON_CHARS = 600
GO_ON = "Go on with the task, then finish again."


@dataclass(frozen=True)
class Settled:
    """What becomes of it.

    Attributes:
        task: as it is from here on.
        message: what its agent is told, which goes on; "" when the change is taken as it is.
    """

    task: TaskSpec
    message: str = ""


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


def owners(paths: Sequence[str], claims: Sequence[Claim]) -> tuple[str, ...]:
    """Return the other tasks that write any of these paths."""
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


def granted(task: TaskSpec, paths: Sequence[str], *, by: str) -> Settled:
    """Return the task with more paths that it may change; `by` says who or what allows it."""
    more = tuple(write_patterns.normal(path) for path in paths)
    writes = tuple(dict.fromkeys((*task.writes, *more)))
    message = f"You may change {listing(more)} too: {by}. {GO_ON}"
    return Settled(task.model_copy(update={"writes": writes}), message)


def commands(task: TaskSpec, named: Sequence[str]) -> tuple[str, ...]:
    """Return the acceptance commands of the task that are named."""
    wanted = {name.strip() for name in named}
    return tuple(command for command in task.acceptance if command.strip() in wanted)


def without(task: TaskSpec, dropped: Sequence[str]) -> Settled:
    """Return the task without acceptance commands that a person has dropped."""
    left = tuple(command for command in task.acceptance if command not in dropped)
    return Settled(task.model_copy(update={"acceptance": left}))


def misnamed(task: TaskSpec) -> str:
    """Return what an agent is told that names a command which is none of its task's."""
    return (
        "What you name in `cannot_pass` is none of the acceptance commands. They are:\n"
        + "\n".join(task.acceptance)
        + f"\n{GO_ON}"
    )
