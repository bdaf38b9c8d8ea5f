"""How often a task goes back, and what its agent is told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.checks import CheckResult, ChecksReport, FailedBefore
from contracts.limits import RequestLimits
from contracts.merge_queue import Eviction, MergeVerdict
from domain.check_results import compared
from domain.review import rework
from domain.review.rework import Cause, Rounds

OID = "0" * 40
LIMITS = RequestLimits(rework_rounds=2, evictions=3, answers=2)


def report(*results: CheckResult, hint: str = "") -> ChecksReport:
    """Return a report of these commands."""
    return ChecksReport(commit=OID, tree=OID, results=results, log=OID, hint=hint)


@given(st.lists(st.sampled_from(list(Cause)), max_size=12))
def test_no_task_goes_back_for_ever(causes: list[Cause]) -> None:
    """Each kind of cause has its own share, and whatever comes, all together have an end."""
    rounds = Rounds()
    for cause in causes:
        rounds = rework.next_round(rounds, cause, LIMITS) or rounds
    evictions, answers = causes.count(Cause.QUEUE), causes.count(Cause.ANSWER)

    assert rounds.evictions == min(evictions, LIMITS.evictions)
    assert rounds.answered == min(answers, LIMITS.answers)
    assert rounds.own == min(len(causes) - evictions - answers, LIMITS.rework_rounds)
    assert rounds.left(LIMITS) == LIMITS.rework_rounds - rounds.own
    assert rounds.total <= LIMITS.rework_rounds + LIMITS.evictions + LIMITS.answers


def test_a_refused_form_uses_up_no_round_until_it_comes_too_often() -> None:
    """An unusable patch, such as one without a change, goes back three times beside the rounds."""
    limits = LIMITS.model_copy(update={"form_rounds": 3})
    rounds, counts = Rounds(), []
    while more := rework.next_round(rounds, Cause.PATCH, limits):
        rounds = more
        counts.append((rounds.total, rounds.left(limits)))

    assert counts == [(1, 2), (2, 2), (3, 2), (4, 1), (5, 0)]


@pytest.mark.parametrize(
    ("own", "words"),
    [
        pytest.param(0, "Rounds left after this one, for checks and review: 2.", id="two"),
        pytest.param(2, "This is the last round", id="none"),
    ],
)
def test_the_agent_is_told_how_many_rounds_are_left(own: int, words: str) -> None:
    """It stands at the end of what it is told, also when that is as long as a message may be."""
    told = rework.told("Fix it.", Rounds(own=own), LIMITS) or ""
    long = rework.told("x" * 16_000, Rounds(own=own), LIMITS) or ""

    assert told.startswith("Fix it.\n\n")
    assert words in told
    assert words in long
    assert len(long) <= 16_000


def test_a_person_always_gets_a_round() -> None:
    """However often the task went back before; older requests count it as rework."""
    spent = Rounds(own=2, evictions=2)

    more = rework.next_round(spent, Cause.PERSON, RequestLimits(person_rounds=100))
    assert more == Rounds(own=2, evictions=2, asked=1)
    assert more.total == spent.total + 1
    assert rework.next_round(spent, Cause.PERSON, RequestLimits(rework_rounds=2)) is None


@pytest.mark.parametrize(
    ("result", "how"),
    [
        pytest.param(CheckResult(command="t", exit_code=2, seconds=1), "exit code 2", id="red"),
        pytest.param(
            CheckResult(command="t", exit_code=None, seconds=1, timed_out=True),
            "time limit reached",
            id="too slow",
        ),
        pytest.param(
            CheckResult(command="t", exit_code=None, seconds=1), "ended by a signal", id="killed"
        ),
    ],
)
def test_the_agent_is_told_which_command_failed_and_how(result: CheckResult, how: str) -> None:
    """The first red command, how it ended, and what the sandbox has to say."""
    good = CheckResult(command="lint", exit_code=0, seconds=1)
    told = rework.checks_feedback(report(good, result, hint="No network here."))

    assert f"({how})" in told
    assert "\n    t\nNo network here." in told
    assert "lint" not in told


def test_an_agent_is_told_which_tests_did_not_fail_before_its_change() -> None:
    """Those that failed already are none of its business; how to object is told, too."""
    before = FailedBefore(command="t", exit_code=1, failing=("old",))
    red = CheckResult(command="t", exit_code=1, seconds=1, failing=("old", "new"))
    told = rework.checks_feedback(report(compared(red, [before])))

    assert "These of its tests did not fail then:\n    new\n" in told
    assert "old" not in told
    assert "name the command in `cannot_pass`" in told


def test_a_green_report_is_no_complaint() -> None:
    """Nothing is asked for when every command passed."""
    good = CheckResult(command="lint", exit_code=0, seconds=1)

    assert rework.checks_feedback(report(good)) == "The acceptance commands passed."


def test_a_conflict_names_the_paths() -> None:
    """The agent finds the markers where it is told."""
    told = rework.eviction_feedback(
        MergeVerdict(id="p", eviction=Eviction.CONFLICT, conflicts=("a.py", "b.py"))
    )

    assert "a.py, b.py" in told
    assert "marker" in told


def test_a_red_stack_names_whom_it_met() -> None:
    """A patch that passes alone is told what it was tested with."""
    others = [kind for kind in Eviction if kind is not Eviction.CONFLICT]
    told = [
        rework.eviction_feedback(MergeVerdict(id="p", eviction=kind, met=("rename total",)))
        for kind in others
    ]

    assert all("rename total" in text and "conflict" not in text for text in told)


def test_what_could_not_be_tested_and_what_another_patch_replaces_is_final() -> None:
    """An agent can mend neither checks that could not run nor that its rival has landed."""
    is_final = {kind for kind in Eviction if rework.is_final(MergeVerdict(id="p", eviction=kind))}

    assert is_final == {Eviction.UNTESTED, Eviction.SUPERSEDED}
