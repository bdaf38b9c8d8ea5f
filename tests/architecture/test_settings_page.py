"""The page of settings names every one of them."""

import re
from pathlib import Path

import pytest

from runtime.settings import HEARTBEAT_FD, ROLES

ROOT = Path(__file__).parents[2]


def _variables() -> list[str]:
    source = (ROOT / "runtime" / "settings.py").read_text()
    named = set(re.findall(r"\b(?:ORCHESTCODE|ANTHROPIC|TEMPORAL)_[A-Z_]+[A-Z]\b", source))
    roles = {f"ORCHESTCODE_MODEL_{role.upper()}" for role in ROLES}
    return sorted((named | roles) - {HEARTBEAT_FD, "TEMPORAL_PROFILE", "TEMPORAL_CONFIG_FILE"})


@pytest.mark.parametrize("variable", _variables())
def test_every_setting_is_explained(variable: str) -> None:
    """Whatever the environment may decide stands in docs/operating.md."""
    assert f"`{variable}`" in (ROOT / "docs" / "operating.md").read_text()
