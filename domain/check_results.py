"""What a command came to, in words: how it ended, and which test its output names.

For people and agents, never for a decision.
"""

import re

from contracts.checks import CheckResult
from domain.text import for_people, one_line

# The first that matches anywhere names the test: the reports of pytest, unittest, Go, Cargo, TAP,
# Jest and Mocha, in this order.
_REPORTS = (
    re.compile(r"^(?:FAILED|ERROR) (\S+::\S+)", re.MULTILINE),
    re.compile(r"^(?:FAIL|ERROR): (\w+ \([\w.]+\))", re.MULTILINE),
    re.compile(r"^\s*--- FAIL: (\S+)", re.MULTILINE),
    re.compile(r"^test (\S+) \.\.\. FAILED", re.MULTILINE),
    re.compile(r"^not ok \d+ (?:- )?(.+)$", re.MULTILINE),
    re.compile(r"^\s*● (.+)$", re.MULTILINE),
    re.compile(r"^\s*\d+\) (.+)$", re.MULTILINE),
)


def failing_test(output: str) -> str:
    """Return the name of the first test that failed, "" when the output names none."""
    text = for_people(output, len(output))
    found = (match for report in _REPORTS if (match := report.search(text)))
    return one_line(next((match[1] for match in found), ""), 200)


def how_it_ended(result: CheckResult) -> str:
    """Return how a command that did not pass ended."""
    if result.timed_out:
        return "time limit reached"
    return "ended by a signal" if result.exit_code is None else f"exit code {result.exit_code}"


def red_command(result: CheckResult) -> str:
    """Return that a command fails, how, and which test its output names."""
    test = failing_test(result.tail)
    how = f"{how_it_ended(result)}{f', {test}' if test else ''}"
    return f"`{one_line(result.command, 300)}` fails ({how})"
