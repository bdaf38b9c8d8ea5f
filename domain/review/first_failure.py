"""Which test failed, read off the end of a command's output; for people, never for a decision."""

import re

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
