"""What a command came to: how it ended, what its output names as failed, and if that is more."""

import re
from collections.abc import Sequence

from contracts.checks import CheckResult, FailedBefore
from contracts.subtask import SubtaskStart
from domain.text import for_people, one_line

_COMPARED = 100
"""Of a command that names more failed tests, nothing is compared."""

# The first that matches anywhere names the tests: the reports of pytest, unittest, Go, Cargo, TAP,
# Vitest, Jest, Node and Mocha, in this order.
_REPORTS = (
    re.compile(r"^(?:FAILED|ERROR) (\S+(?:::\S+|\.py))", re.MULTILINE),
    re.compile(r"^(?:FAIL|ERROR): (\w+ \([\w.]+\))", re.MULTILINE),
    re.compile(r"^\s*--- FAIL: (\S+)", re.MULTILINE),
    re.compile(r"^test (\S+) \.\.\. FAILED", re.MULTILINE),
    re.compile(r"^\s*not ok \d+ (?:- )?(.+?)(?: # .*)?$", re.MULTILINE),
    re.compile(r"^ *FAIL +(\S+ > .+)$", re.MULTILINE),
    re.compile(r"^\s*● (.+)$", re.MULTILINE),
    re.compile(r"^\s*✖ (.+?)(?: \([\d.]+ ?ms\))?$", re.MULTILINE),
    re.compile(r"^\s*\d+\) (.+)$", re.MULTILINE),
)


def attempt_at(start: SubtaskStart) -> int:
    """Return which attempt at a task this is: 0 the first, 2 the one after it."""
    return start.earlier.number + 1 if start.earlier else 0


def fresh_run(attempt: int, *, again: bool) -> int:
    """Return the number of a run among those of one counter; 0 = what is known counts.

    Each attempt has two numbers of its own: the doubted run of one is no answer to the next.
    """
    return 2 * attempt + again


def failing_test(output: str) -> str:
    """Return the name of the first test that failed, "" when the output names none."""
    return next(iter(_named(output)), "")


def failing_tests(output: str) -> tuple[str, ...]:
    """Return the tests that failed, each once; () when the output names none, or over 100."""
    named = _named(output)
    return named if len(named) <= _COMPARED else ()


def _named(output: str) -> tuple[str, ...]:
    text = for_people(output, len(output))
    reported = (report.findall(text) for report in _REPORTS)
    named = next(filter(None, reported), [])
    return tuple(dict.fromkeys(one_line(name, 200) for name in named))


def failed_before(result: CheckResult) -> FailedBefore | None:
    """Return what later runs are compared with, None for a result that says too little."""
    if result.passed or result.timed_out or not result.failing:
        return None
    return FailedBefore(command=result.command, exit_code=result.exit_code, failing=result.failing)


def compared(result: CheckResult, before: Sequence[FailedBefore]) -> CheckResult:
    """Return a result with what it adds to the failures that were there before, if any were.

    An output that names no test is as before when the command ends as it did.
    """
    known = next((each for each in before if each.command == result.command), None)
    if known is None or result.passed:
        return result
    more = tuple(test for test in result.failing if test not in known.failing)
    ends_alike = result.exit_code == known.exit_code and not result.timed_out
    as_before = not more and (bool(result.failing) or ends_alike) and not result.timed_out
    return result.model_copy(update={"as_before": as_before, "more": more})


def how_it_ended(result: CheckResult) -> str:
    """Return how a command that did not pass ended."""
    if result.limit:
        return result.limit
    if result.timed_out:
        return "time limit reached"
    return "ended by a signal" if result.exit_code is None else f"exit code {result.exit_code}"


def how_it_failed(result: CheckResult) -> str:
    """Return how a command that did not pass ended, a failing test, and its output's last line."""
    last = one_line((result.tail.strip().splitlines() or [""])[-1], 200)
    return f"({_how_and_where(result)})" + (f": {last}" if last else "")


def red_command(result: CheckResult) -> str:
    """Return that a command fails, how, and which test its output names."""
    count = len(result.more)
    more = f" in {count} test{'s' * (count > 1)} more than before" if count else ""
    return f"`{one_line(result.command, 300)}` fails{more} ({_how_and_where(result)})"


def failed_test(result: CheckResult) -> str:
    """Return a test that made a command fail, one that did not fail before if there is any."""
    return next(iter((*result.more, *result.failing)), failing_test(result.tail))


def _how_and_where(result: CheckResult) -> str:
    test = failed_test(result)
    return f"{how_it_ended(result)}{f', {test}' if test else ''}"
