"""The pages that name tests name only tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["ARCHITECTURE.md", "docs/security.md"])
def test_every_test_that_a_page_names_exists(name: str) -> None:
    """An invariant without its test would be a promise without proof."""
    page = (ROOT / name).read_text("utf-8")
    code = "\n".join(file.read_text("utf-8") for file in (ROOT / "tests").rglob("*.py"))
    named = set(re.findall(r"`(test_\w+)`", page))
    files = set(re.findall(r"`(tests/[\w/]+\.py)`", page))
    missing = sorted(test for test in named if f"def {test}(" not in code)

    assert missing == []
    assert [file for file in sorted(files) if not (ROOT / file).is_file()] == []


def test_each_probe_of_the_security_page_has_a_test() -> None:
    """At least sixty rows, each of which names the test that tries it."""
    page = (ROOT / "docs" / "security.md").read_text("utf-8")
    probes = page.partition("## Probes")[2].partition("## What is not defended")[0]
    rows = [
        line
        for line in probes.splitlines()
        if line.startswith("| ") and not line.startswith("| tried")
    ]

    assert len(rows) >= 60
    assert [row for row in rows if "`test_" not in row and "`tests/" not in row] == []
