"""The goal of a request: when a further round begins, and what its task is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.baseline import Baseline
from contracts.checks import CheckResult
from contracts.goal import GoalRound
from contracts.limits import RequestLimits
from contracts.planning import Plan, TaskSpec
from contracts.request import RequestStart
from contracts.task import TaskState, TaskStatus
from domain import limits
from domain.request import goal
from domain.request.goal import Allowed, Outcome

OID = "a" * 40
COMMAND = "make test"
START = RequestStart(
    repository="/shop", request="Mend it.", checks=("make lint", COMMAND), until=COMMAND
)
LIMITS = limits.REQUEST
MANY = Allowed(most=50)
NAMES = st.lists(st.sampled_from("abcdef"), unique=True, max_size=6)


def red(*failing: str, tail: str = "", code: int = 1) -> CheckResult:
    """The goal's command as it fails."""
    return CheckResult(command=COMMAND, exit_code=code, seconds=1, tail=tail, failing=failing)


def outcomes(*results: CheckResult, same_tree: bool = False, touched: bool = True) -> list[Outcome]:
    """What the command came to, each time on another tree."""
    return [
        Outcome("t" if same_tree else f"t{place}", result, touched)
        for place, result in enumerate(results)
    ]


def missed(found: list[Outcome], allowed: Allowed = MANY, **changed: int) -> str:
    """Why no further round begins."""
    held = LIMITS.model_copy(update=changed)
    return goal.missed(COMMAND, len(found) - 1, found, held, allowed)


def test_fewer_failing_tests_are_progress_and_as_many_are_none() -> None:
    """The least so far counts: what failed less before is not reached by going back and forth."""
    three, two, other = outcomes(red("a", "b", "c"), red("a", "b"), red("d", "e"))

    assert goal.progress([three], two)
    assert not goal.progress([three, two], other)
    assert not goal.progress([three, two], three)
    assert goal.progress([three], Outcome("t", CheckResult(command="x", exit_code=0, seconds=1)))


def test_where_no_test_is_named_another_failure_is_progress() -> None:
    """Times and addresses make no failure another one; a new message or exit code does."""
    first, again = outcomes(red(tail="no a in 1.2 s at 0xff"), red(tail="no a in 31.0 s at 0x1b"))

    assert not goal.progress([first], again)
    assert goal.progress([first], outcomes(red(tail="no b in 1.2 s at 0xff"))[0])
    assert goal.progress([first], outcomes(red(tail="no a in 1.2 s at 0xff", code=2))[0])


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_so_many_rounds_that_change_nothing_end_it(rounds: int) -> None:
    """The threshold `goal_idle_rounds`."""
    found = outcomes(*[red("a")] * (rounds + 1), same_tree=True, touched=False)

    assert "changed no file" in missed(found, goal_idle_rounds=rounds, goal_still_rounds=9)
    assert missed(found[1:], goal_idle_rounds=rounds, goal_still_rounds=9) == ""
    assert LIMITS.goal_idle_rounds == 1


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_so_many_rounds_without_progress_end_it(rounds: int) -> None:
    """The threshold `goal_still_rounds`; a change that did not land is an attempt, too."""
    still = [red("a", "b")] * (rounds + 1)
    for found in (outcomes(*still), outcomes(*still, same_tree=True)):
        said = missed(found, goal_still_rounds=rounds)
        assert "2 tests fail, no fewer than before" in said
        assert missed(found[1:], goal_still_rounds=rounds) == ""
    assert LIMITS.goal_still_rounds == 2


def test_progress_counts_the_rounds_without_it_anew() -> None:
    """One round without progress between others is no standstill."""
    assert missed(outcomes(red("a", "b"), red("a", "b"), red("a"), red("b"))) == ""
    assert missed(outcomes(red("a", "b"), red("a"), red("b"), red("c"))) != ""


@pytest.mark.parametrize(
    ("allowed", "why"),
    [
        (Allowed(most=1), "after 1 round, as many as it may have"),
        (Allowed(most=2, late=True), "its deadline has passed"),
        (Allowed(most=2, closed="no money is left"), "no money is left"),
        (Allowed(most=2), ""),
    ],
    ids=["rounds", "deadline", "money", "none"],
)
def test_each_limit_ends_it_and_is_named(allowed: Allowed, why: str) -> None:
    """With how the command fails, and where."""
    said = missed(outcomes(red("a", "b"), red("t::b")), allowed)

    assert why in said
    assert bool(said) == bool(why)
    assert not said or said.startswith(f"`{COMMAND}` still fails (exit code 1, t::b)")


def test_rounds_are_those_of_the_request_or_the_default() -> None:
    """Counted on from what earlier attempts had; the default is `goal_rounds`."""
    assert goal.most_rounds(START, LIMITS, 0) == LIMITS.goal_rounds == 5
    assert goal.most_rounds(START.model_copy(update={"rounds": 2}), LIMITS, 7) == 9


@given(st.lists(st.tuples(NAMES, st.booleans()), min_size=1, max_size=40), st.integers(1, 3))
def test_rounds_end_by_themselves(rounds: list[tuple[list[str], bool]], still: int) -> None:
    """Without any other limit there are never more rounds than tests can become fewer, times the
    rounds that may bring nothing.
    """
    held = RequestLimits(goal_still_rounds=still)
    found = outcomes(*(red(*names or ["a"]) for names, _ in rounds))
    number = 0
    while number + 1 < len(found):
        if goal.missed(COMMAND, number, found[: number + 1], held, MANY):
            break
        number += 1

    assert number <= 6 * still


def test_the_base_passes_unless_the_command_is_red_there_twice() -> None:
    """A flake passes; without a look at the base nothing is known."""
    found = Baseline(commit=OID, survey=OID)

    assert goal.base_passes(START, found)
    assert goal.base_passes(START, found.model_copy(update={"flaky": (1,), "red": (0,)}))
    assert not goal.base_passes(START, found.model_copy(update={"red": (1,)}))
    assert not goal.base_passes(START, None)
    assert not goal.base_passes(START.model_copy(update={"until": None}), found)


def test_patches_are_held_to_how_the_command_fails_on_what_has_landed() -> None:
    """Not to the base: what a round has mended may not fail again."""
    found = Baseline(
        commit=OID,
        survey=OID,
        red=(0,),
        flaky=(1,),
        problems=(f"`{COMMAND}` is flaky at the base", "`make lint` fails before we started"),
    )
    told = goal.with_outcome(found, START.checks, COMMAND, red("a"))

    assert told is not None
    assert (told.red, told.flaky) == ((0, 1), ())
    assert [(each.command, each.failing) for each in told.failed] == [(COMMAND, ("a",))]
    assert told.problems[0] == "`make lint` fails before we started"
    assert told.problems[1].startswith(f"`{COMMAND}` fails on what has landed so far (exit code 1")
    again = goal.with_outcome(told, START.checks, COMMAND, red())
    assert again is not None
    assert (again.failed, len(again.problems)) == ((), 2)
    assert goal.with_outcome(None, START.checks, COMMAND, red()) is None


@given(st.text(max_size=9_000), st.text(max_size=9_000), st.integers(0, 60))
def test_a_rounds_task_is_a_task_whatever_it_is_told(request: str, said: str, count: int) -> None:
    """However long request, output and past are, it fits, and the newest round is told."""
    rows = {
        f"t{place}": TaskStatus(
            id=f"t{place}", title=said[:180] or "x", state=TaskState.FAILED, reason=said[:900]
        )
        for place in range(count)
    }
    rounds = [
        GoalRound(number=place + 1, tasks=(f"t{place}",), commit=OID, outcome="(exit code 1)")
        for place in range(count)
    ]
    start = START.model_copy(update={"request": request or "x"})
    last = Outcome("t", red(*(f"test_{each}" for each in range(100)), tail=said[:900]))
    plan = Plan(summary="p", tasks=(TaskSpec(id="round-1", title="t", goal="g"),))
    task = goal.fresh_task(start, plan, rows, rounds, last, number=count + 1)

    TaskSpec.model_validate_json(task.model_dump_json())
    assert task.id != "round-1"
    assert task.acceptance == ()
    assert "100 of its tests fail:" in task.goal
    assert "Do not repeat what did not help" in task.goal
    if 0 < len(request) < 500 and len(said) < 200:
        assert f"Round {count}:" in task.goal or count == 0


def test_what_a_later_round_did_is_no_longer_missing() -> None:
    """A failed task counts as long as no later round is done, and always in the last one."""
    first, second, third = (
        TaskStatus(id=key, title=key, state=state)
        for key, state in zip(
            "abc", [TaskState.FAILED, TaskState.DONE, TaskState.FAILED], strict=True
        )
    )
    rounds = [GoalRound(number=n, tasks=(key,), commit=OID) for n, key in enumerate("abc", 1)]

    assert goal.counted([first, second, third], rounds) == (second, third)
    assert goal.counted([first, second], rounds[:2]) == (second,)
    assert goal.counted([first], rounds[:1]) == (first,)
    assert goal.counted([first, third], [rounds[0], rounds[2]]) == (first, third)
