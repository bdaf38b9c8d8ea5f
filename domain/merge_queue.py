"""The merge queue's search: which prefixes of the queue to test, what lands, who is to blame.

The queue is ordered; the prefix of length n is the tip with the first n patches on top. A prefix
that holds a bad patch, or two patches that do not go together, is red, and so is every longer
one. The workflow executes these decisions and owns the queue; this module knows lengths, no trees.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from contracts.limits import RequestLimits
from contracts.merge_queue import ChainLink, QueuedPatch
from contracts.planning import Promise

# Beta prior of the share of bad patches: one in twenty, as admission leaves them.
_PRIOR_BAD, _PRIOR_GOOD = 1, 19


@dataclass(frozen=True, slots=True)
class QueueState:
    """What the search knows of the queue.

    Attributes:
        waiting: patches in the queue that chain up without a textual conflict.
        red_prefix: length of the shortest prefix known to be red, None when none is.
        failures, successes: patches evicted for red, and landed, so far.
    """

    waiting: int
    red_prefix: int | None = None
    failures: int = 0
    successes: int = 0


def cuts(state: QueueState, limits: RequestLimits) -> tuple[int, ...]:
    """Return the lengths of the prefixes to test in parallel, ascending, at most one a test slot.

    Empty when nothing waits, and when the first patch is to blame by elimination: the tree with
    it on top has been seen red already and is never tested again.
    """
    red = _red(state)
    if not state.waiting or red == 1:
        return ()
    slots = max(1, limits.test_slots)
    if red is None:
        window = _window(state, limits)
        count = min(slots, window)
        return tuple(-(-window * step // count) for step in range(1, count + 1))
    count = min(slots, red - 1)
    return tuple(red * step // (count + 1) for step in range(1, count + 1))


def _window(state: QueueState, limits: RequestLimits) -> int:
    slots = max(1, limits.test_slots)
    bad = _PRIOR_BAD + state.failures
    share = bad / (bad + _PRIOR_GOOD + state.successes)
    if share >= limits.many_bad_share:
        # With so many bad patches the plain window wins on rounds.
        return min(slots, state.waiting)
    if share * state.waiting <= limits.few_expected_bad:
        return state.waiting
    return min(state.waiting, max(slots, round(1 / share)))


def _red(state: QueueState) -> int | None:
    known = state.red_prefix is not None and 1 <= state.red_prefix <= state.waiting
    return state.red_prefix if known else None


def eliminated(state: QueueState) -> bool:
    """Return whether the first patch is to blame: the tip is green, and red with it on top."""
    return _red(state) == 1


def conclude(
    state: QueueState, greens: Sequence[int], reds: Sequence[int]
) -> tuple[int, QueueState]:
    """Return how many patches land after a round, and the queue behind them.

    The longest green prefix lands and clears every shorter red one: those were flakes. The
    shortest red prefix above it bounds the next search.

    `greens` and `reds` are lengths of prefixes; one without a verdict is in neither.
    """
    land = max((cut for cut in greens if 0 < cut <= state.waiting), default=0)
    above = [cut for cut in (*reds, _red(state)) if cut is not None and land < cut <= state.waiting]
    behind = QueueState(
        waiting=state.waiting - land,
        red_prefix=min(above) - land if above else None,
        failures=state.failures,
        successes=state.successes + land,
    )
    return land, behind


def after_eviction(state: QueueState) -> QueueState:
    """Return the queue without its first patch, which was to blame.

    The patches behind it have been seen red only together with it, so nothing is known of them.
    """
    if not state.waiting:
        raise ValueError("no patch can be evicted from an empty queue")
    return replace(state, waiting=state.waiting - 1, red_prefix=None, failures=state.failures + 1)


def rechained(state: QueueState, *, usable: int, kept: int) -> QueueState:
    """Return the queue for a chain that was built again, with `usable` links that merged.

    The first `kept` of them are the same as in the chain before, on the same tip; a red prefix is
    believed only when all of it is among them.
    """
    red = state.red_prefix
    believed = red is not None and red <= min(kept, usable)
    return replace(state, waiting=usable, red_prefix=red if believed else None)


def fewest_conflicts(
    waiting: Sequence[str], pairs: Collection[tuple[str, str]], *, fixed: int
) -> tuple[str, ...]:
    """Return the order in which the fewest patches meet one with which they conflict.

    The first `fixed` stay where they are. Of the others what conflicts with the fewest is taken
    first, ties by arrival; those taken keep the order of their arrival, and the rest comes behind.
    """
    conflicts = {key: {a if key == b else b for a, b in pairs if key in (a, b)} for key in waiting}
    kept = list(waiting[:fixed])
    rest = [key for key in waiting[fixed:] if conflicts[key].isdisjoint(kept)]
    taken: set[str] = set()
    while rest:
        best = min(rest, key=lambda key: sum(other in conflicts[key] for other in rest))
        taken.add(best)
        rest = [key for key in rest if key != best and key not in conflicts[best]]
    free = waiting[fixed:]
    return (
        *kept,
        *(key for key in free if key in taken),
        *(key for key in free if key not in taken),
    )


def landed_rival(queued: QueuedPatch, landed: Sequence[Promise]) -> str:
    """Return the task that has landed in a patch's place, "" when none has."""
    mine = _group(queued.task, queued.group)
    rivals = (each.task for each in landed if _group(each.task, each.group) == mine)
    return next((task for task in rivals if task != queued.task), "")


def one_of_each(queue: Sequence[QueuedPatch]) -> tuple[QueuedPatch, ...]:
    """Return the patches that may land together: of a task and its forks the first one."""
    forked = {_place(queued) for queued in queue if queued.group}
    taken: set[tuple[str, str]] = set()
    found: list[QueuedPatch] = []
    for queued in queue:
        place = _place(queued)
        if place in forked and place in taken:
            continue
        taken.add(place)
        found.append(queued)
    return tuple(found)


def _place(queued: QueuedPatch) -> tuple[str, str]:
    return queued.repository.request_key, _group(queued.task, queued.group)


def _group(task: str, group: str) -> str:
    return group or task


def split_chain(
    links: Sequence[ChainLink],
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return a chain's ids in queue order: merged, conflicting with the tip, put aside.

    What conflicts only with a neighbour that has not landed goes to the end of the queue.
    """
    return (
        tuple(link.id for link in links if link.commit is not None),
        tuple(link.id for link in links if link.commit is None and link.with_tip),
        tuple(link.id for link in links if link.commit is None and not link.with_tip),
    )
