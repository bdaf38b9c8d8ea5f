"""The architecture page names only tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_every_test_that_the_architecture_page_names_exists() -> None:
    """An invariant without its test would be a promise without proof."""
    page = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
    code = "\n".join(file.read_text("utf-8") for file in (ROOT / "tests").rglob("*.py"))
    named = set(re.findall(r"`(test_\w+)`", page))
    files = set(re.findall(r"`(tests/[\w/]+\.py)`", page))
    missing = sorted(name for name in named if f"def {name}(" not in code)

    assert missing == []
    assert [file for file in sorted(files) if not (ROOT / file).is_file()] == []
