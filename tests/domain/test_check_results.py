"""What a command came to: the tests that its output names, and whether more fails than before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.checks import CheckResult, FailedBefore
from domain.check_results import (
    compared,
    failed_before,
    failing_test,
    failing_tests,
    fresh_run,
    red_command,
)

COMMAND = "make test"
NAMES = st.lists(st.sampled_from("abcdefg"), max_size=7, unique=True).map(tuple)


def red(*failing: str, exit_code: int | None = 1, timed_out: bool = False) -> CheckResult:
    """A command that fails, with the tests that it names."""
    return CheckResult(
        command=COMMAND, exit_code=exit_code, seconds=1, failing=failing, timed_out=timed_out
    )


@pytest.mark.parametrize(
    ("output", "names"),
    [
        pytest.param(
            "...\nFAILED tests/a.py::test_b[x] - Bad\nERROR tests/a.py::test_c\n",
            ("tests/a.py::test_b[x]", "tests/a.py::test_c"),
            id="pytest",
        ),
        pytest.param("ERROR tests/a.py - SyntaxError\n", ("tests/a.py",), id="pytest collects"),
        pytest.param("FAIL: test_b (t.Case)\n---\n", ("test_b (t.Case)",), id="unittest"),
        pytest.param("    --- FAIL: TestB/sub (0.00s)\n", ("TestB/sub",), id="go"),
        pytest.param("test mod::b ... FAILED\ntest c ... ok\n", ("mod::b",), id="cargo"),
        pytest.param("ok 1 - a\nnot ok 2 - adds numbers # time=3ms\n", ("adds numbers",), id="tap"),
        pytest.param(" FAIL  a.test.ts > sum > adds\n", ("a.test.ts > sum > adds",), id="vitest"),
        pytest.param("  ● suite › adds\n\n  ● suite › adds\n", ("suite › adds",), id="jest"),
        pytest.param("✖ adds numbers (1.25ms)\n", ("adds numbers",), id="node"),
        pytest.param("  1) adds numbers\n", ("adds numbers",), id="mocha"),
        pytest.param("make: *** [test] Error 1\n", (), id="none of them"),
    ],
)
def test_the_failing_tests_are_read_off_the_output(output: str, names: tuple[str, ...]) -> None:
    """The reports of the usual runners; of any other output nothing is claimed."""
    assert failing_tests(output) == names
    assert failing_test(output) == next(iter(names), "")


def test_more_failing_tests_than_can_be_compared_are_no_list() -> None:
    """Of over a hundred names none is kept, and a part of them would compare wrongly."""
    lines = [f"FAILED t.py::test_{number}" for number in range(101)]

    assert len(failing_tests("\n".join(lines[:100]))) == 100
    assert failing_tests("\n".join(lines)) == ()


@given(before=NAMES.filter(bool), after=NAMES)
def test_a_red_command_is_as_before_when_it_fails_in_nothing_more(
    before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    """What did not fail before is named; fewer failures, or the same, are acceptable."""
    known = FailedBefore(command=COMMAND, exit_code=1, failing=before)
    result = compared(red(*after), [known])

    assert set(result.more) == set(after) - set(before)
    assert result.as_before is (set(after) <= set(before))
    assert result.acceptable is result.as_before
    assert not result.passed


@pytest.mark.parametrize(
    ("result", "acceptable"),
    [
        pytest.param(red(exit_code=1), True, id="ends as before and names none"),
        pytest.param(red(exit_code=2), False, id="ends otherwise and names none"),
        pytest.param(red("a", exit_code=3), True, id="ends otherwise with the same tests"),
        pytest.param(red("a", exit_code=None, timed_out=True), False, id="takes too long"),
    ],
)
def test_the_end_of_a_red_command_counts_where_no_test_does(
    result: CheckResult,
    acceptable: bool,  # noqa: FBT001
) -> None:
    """A run that broke off shows fewer failures: that is no improvement."""
    known = FailedBefore(command=COMMAND, exit_code=1, failing=("a",))

    assert compared(result, [known]).acceptable is acceptable


def test_no_two_runs_of_two_attempts_have_the_same_number() -> None:
    """The first run of a first attempt alone takes what is known of its tree."""
    numbers = [
        fresh_run(attempt, again=again) for attempt in (0, 2, 3, 4) for again in (False, True)
    ]

    assert len(set(numbers)) == len(numbers)
    assert numbers.index(0) == 0


def test_a_command_that_nothing_is_known_of_is_red_when_it_fails() -> None:
    """Another command's failures before excuse nothing."""
    known = FailedBefore(command="make lint", exit_code=1, failing=("a",))

    assert not compared(red("a"), [known]).acceptable


def test_what_names_no_test_or_took_too_long_is_compared_with_nothing() -> None:
    """Only a red run that ended by itself and named tests says what failed before."""
    assert failed_before(red("a")) == FailedBefore(command=COMMAND, exit_code=1, failing=("a",))
    assert failed_before(red()) is None
    assert failed_before(red("a", exit_code=None, timed_out=True)) is None
    assert failed_before(red("a", exit_code=0)) is None


def test_a_person_reads_how_many_tests_fail_more_than_before() -> None:
    """The count and one of them."""
    known = FailedBefore(command=COMMAND, exit_code=1, failing=("a",))
    told = red_command(compared(red("a", "b", "c"), [known]))

    assert told == "`make test` fails in 2 tests more than before (exit code 1, b)"
