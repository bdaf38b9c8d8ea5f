"""The merge queue's search, played to the end in random worlds."""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.limits import RequestLimits
from contracts.merge_queue import ChainLink, QueuedPatch
from contracts.planning import Promise
from contracts.review import Patch
from contracts.store import RepositoryRef
from domain.merge_queue import (
    QueueState,
    after_eviction,
    conclude,
    cuts,
    eliminated,
    fewest_conflicts,
    landed_rival,
    one_of_each,
    rechained,
    split_chain,
)

PROPERTY = settings(deadline=None, max_examples=300)


@dataclass
class World:
    """Patches by number, which are bad alone and which pairs do not go together."""

    queue: list[int]
    bad: frozenset[int] = frozenset()
    pairs: tuple[tuple[int, int], ...] = ()
    slots: int = 4
    arrivals: list[int] = field(default_factory=list)
    landed: list[int] = field(default_factory=list)
    evicted: list[int] = field(default_factory=list)
    rounds: int = 0
    runs: int = 0

    def green(self, patches: list[int]) -> bool:
        """Whether the checks pass on a tree with exactly these patches."""
        has = frozenset(patches)
        return not (has & self.bad) and not any(a in has and b in has for a, b in self.pairs)

    def play(self) -> None:
        """Run the queue as its workflow does, until it is empty."""
        state = QueueState(waiting=len(self.queue))
        while self.queue or self.arrivals:
            if self.arrivals:
                self.queue.append(self.arrivals.pop(0))
                state = rechained(state, usable=len(self.queue), kept=state.waiting)
            if eliminated(state):
                self.evicted.append(self.queue.pop(0))
                state = after_eviction(state)
                continue
            state = self.round(state)

    def round(self, state: QueueState) -> QueueState:
        """Test once and land."""
        tests = cuts(state, RequestLimits(test_slots=self.slots))
        assert tests
        assert list(tests) == sorted(frozenset(tests))
        assert len(tests) <= self.slots
        assert 1 <= tests[0] <= tests[-1] <= state.waiting == len(self.queue)
        assert state.red_prefix is None or tests[-1] < state.red_prefix
        self.rounds += 1
        assert self.rounds < 200, "the search does not end"
        self.runs += len(tests)
        verdicts = {cut: self.green(self.landed + self.queue[:cut]) for cut in tests}
        greens = [cut for cut in tests if verdicts[cut]]
        land, after = conclude(state, greens, [cut for cut in tests if not verdicts[cut]])
        assert land == max(greens, default=0)
        self.landed += self.queue[:land]
        self.queue = self.queue[land:]
        return after


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Up to 24 patches, some of them arriving later, any of them bad, some pairs colliding."""
    count = draw(st.integers(1, 24))
    first = draw(st.integers(0, count))
    numbers = st.integers(0, count - 1)
    pair = st.tuples(numbers, numbers).filter(lambda both: both[0] < both[1])
    return World(
        queue=list(range(first)),
        arrivals=list(range(first, count)),
        bad=draw(st.frozensets(numbers)),
        pairs=tuple(draw(st.lists(pair, max_size=6))) if count > 1 else (),
        slots=draw(st.integers(1, 8)),
    )


@PROPERTY
@given(worlds())
def test_every_patch_lands_green_or_is_evicted_and_only_for_a_reason(world: World) -> None:
    """The target is green at the end, nobody is lost, and nobody innocent is evicted."""
    everyone = sorted(world.queue + world.arrivals)
    world.play()

    assert world.green(world.landed)
    assert sorted(world.landed + world.evicted) == everyone
    before = frozenset(world.landed)
    for patch in world.evicted:
        met = [a for a, b in world.pairs if b == patch and a in before]
        assert patch in world.bad or met


@PROPERTY
@given(worlds())
def test_the_search_ends_soon(world: World) -> None:
    """Never more rounds than one by one would take, arrivals aside."""
    count = len(world.queue) + len(world.arrivals)
    world.play()

    assert world.rounds <= 2 * count


def _trials(count: int, share: float, slots: int) -> list[World]:
    played = []
    for seed in range(300):
        dice = random.Random(seed)
        bad = frozenset(number for number in range(count) if dice.random() < share)
        world = World(queue=list(range(count)), bad=bad, slots=slots)
        world.play()
        played.append(world)
    return played


@pytest.mark.parametrize(
    ("count", "share", "slots", "most"),
    [
        (16, 0.05, 4, 3.0),
        (16, 0.0, 4, 1.0),
        (16, 0.02, 4, 1.9),
        (16, 0.10, 4, 4.6),
        (32, 0.05, 4, 5.6),
        (16, 0.05, 2, 3.8),
    ],
)
def test_rounds_stay_as_few_as_the_search_was_chosen_for(
    count: int, share: float, slots: int, most: float
) -> None:
    """Mean rounds over 300 seeded worlds, with a tenth above the published simulation."""
    played = _trials(count, share, slots)

    assert sum(world.rounds for world in played) / len(played) <= most


def test_one_semantic_conflict_among_sixteen_takes_three_rounds() -> None:
    """Patch 4 renames what patch 10 calls: at most 3 rounds and 12 runs, and 10 is sent back."""
    world = World(queue=list(range(1, 17)), pairs=((4, 10),))
    world.play()

    assert world.evicted == [10]
    assert world.rounds <= 3
    assert world.runs <= 12


def test_a_longer_green_prefix_clears_a_shorter_red_one() -> None:
    """A red below a green was a flake; the red above it stays."""
    land, after = conclude(QueueState(waiting=16, red_prefix=14), [8], [4, 12])

    assert land == 8
    assert after == QueueState(waiting=8, red_prefix=4, successes=8)


def test_without_verdicts_nothing_changes() -> None:
    """A round that infrastructure ate decides nothing."""
    state = QueueState(waiting=5, red_prefix=4, failures=1, successes=2)

    assert conclude(state, [], []) == (0, state)


def test_what_is_red_by_elimination_is_never_tested_again() -> None:
    """Three green, four red: the fourth is to blame, and the next round begins without it."""
    _, after = conclude(QueueState(waiting=6), [1, 3], [4, 6])

    assert eliminated(after)
    assert cuts(after, RequestLimits(test_slots=4)) == ()
    assert after_eviction(after) == QueueState(waiting=2, failures=1, successes=3)


def test_nothing_is_tested_when_nothing_waits() -> None:
    """An empty queue has no cuts and nobody to evict."""
    assert cuts(QueueState(waiting=0, red_prefix=1), RequestLimits(test_slots=4)) == ()
    assert not eliminated(QueueState(waiting=0, red_prefix=1))
    with pytest.raises(ValueError, match="empty queue"):
        after_eviction(QueueState(waiting=0))


def test_many_bad_patches_narrow_the_window() -> None:
    """Few failures: the whole queue; more: about one expected failure; many: one patch a slot."""
    assert cuts(QueueState(waiting=40), RequestLimits(test_slots=4)) == (10, 20, 30, 40)
    assert cuts(QueueState(waiting=40, failures=2, successes=8), RequestLimits(test_slots=4)) == (
        3,
        5,
        8,
        10,
    )
    assert cuts(QueueState(waiting=40, failures=8), RequestLimits(test_slots=4)) == (1, 2, 3, 4)


def test_a_new_chain_keeps_a_red_prefix_only_when_all_of_it_is_the_same() -> None:
    """Arrivals behind it change nothing; a patch taken out of it does."""
    state = QueueState(waiting=8, red_prefix=5)

    assert rechained(state, usable=9, kept=8).red_prefix == 5
    assert rechained(state, usable=7, kept=4).red_prefix is None


def test_a_chain_splits_by_what_a_patch_conflicts_with() -> None:
    """With the tip: evicted. With a neighbour that has not landed: set aside, not evicted."""
    merged, evicted, aside = split_chain(
        [
            ChainLink(id="a", commit="a" * 40),
            ChainLink(id="b", conflicts=("x",), with_tip=True),
            ChainLink(id="c", conflicts=("y",)),
            ChainLink(id="d", commit="d" * 40),
        ]
    )

    assert (merged, evicted, aside) == (("a", "d"), ("b",), ("c",))


def test_of_patches_that_conflict_the_fewest_are_put_behind() -> None:
    """One patch that conflicts with three others comes last, although it was the first to come."""
    pairs = (("hub", "a"), ("b", "hub"), ("hub", "c"))

    assert fewest_conflicts(("hub", "a", "b", "c"), pairs, fixed=0) == ("a", "b", "c", "hub")
    assert fewest_conflicts(("hub", "a", "b", "c"), pairs, fixed=1) == ("hub", "a", "b", "c")
    assert fewest_conflicts(("b", "a"), (), fixed=0) == ("b", "a")


@PROPERTY
@given(
    st.integers(1, 9),
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=12),
    st.integers(0, 9),
)
def test_an_order_keeps_what_is_fixed_and_is_never_worse(
    count: int, drawn: list[tuple[int, int]], fixed: int
) -> None:
    """Every patch once, the fixed ones where they were, and no pair of those taken conflicts."""
    waiting = [f"p{number}" for number in range(count)]
    pairs = [(f"p{a}", f"p{b}") for a, b in drawn if a != b and max(a, b) < count]
    order = fewest_conflicts(waiting, pairs, fixed=fixed)

    assert sorted(order) == sorted(waiting)
    assert list(order[:fixed]) == waiting[:fixed]
    if not pairs:
        assert list(order) == waiting


def _queued(task: str, group: str = "") -> QueuedPatch:
    repository = RepositoryRef(
        key="k", request_key="r", target="t", environment="a" * 40, host_id="h"
    )
    patch = Patch(
        task=task, round=0, base="a" * 40, commit="b" * 40, tree="c" * 40, patch_id="", files=1,
        added_lines=1, deleted_lines=0, paths=(), diff="d" * 40,
    )  # fmt: skip
    return QueuedPatch(
        id=f"r/{task}/0", task=task, repository=repository, patch=patch, reply_to="w", group=group
    )


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(("", "a"))), unique=True))
def test_of_a_task_and_its_forks_one_patch_is_in_a_chain(queue: list[tuple[str, str]]) -> None:
    """The first of them, in the order of the queue; all others are there."""
    waiting = [_queued(task, group) for task, group in queue]
    chosen = one_of_each(waiting)
    forked = {each.group for each in waiting if each.group}
    groups = [each.group or each.task for each in chosen]
    assert [each for each in waiting if each in chosen] == list(chosen)
    assert {each.group or each.task for each in waiting} == set(groups)
    assert all(groups.count(name) == 1 for name in forked)
    firsts = {name: next(e for e in waiting if (e.group or e.task) == name) for name in forked}
    assert all(first in chosen for first in firsts.values())


def test_a_patch_in_whose_place_another_one_has_landed_is_known() -> None:
    """Of the task, of a fork of it, and of two forks; never of the very task that has landed."""
    landed = (Promise(task="a-fork", commands=(), group="a"), Promise(task="z", commands=()))
    assert landed_rival(_queued("a"), landed) == "a-fork"
    assert landed_rival(_queued("a-fork-2", "a"), landed) == "a-fork"
    assert landed_rival(_queued("a-fork", "a"), landed) == ""
    assert landed_rival(_queued("b"), landed) == ""
    assert landed_rival(_queued("a-fork", "a"), (Promise(task="a", commands=()),)) == "a"
