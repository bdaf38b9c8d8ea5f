"""What the prompt cache keeps for how long, and what a miss means."""

import pytest

from contracts.model import ToolUse
from contracts.verdicts import CallVerdict, Permission
from domain.agent import caching


def use(permission: Permission) -> ToolUse:
    """Return a call with its verdict."""
    return ToolUse(id="1", name="run_command", verdict=CallVerdict(permission=permission, rule="r"))


@pytest.mark.parametrize(
    ("permission", "seconds", "long"),
    [
        (Permission.ALLOW, 20, False),
        (Permission.DENY, 269, False),
        (Permission.ALLOW, 271, True),
        (Permission.ASK, 0, True),
    ],
)
def test_a_turn_that_asks_a_person_or_takes_minutes_pauses_long(
    permission: Permission, seconds: float, *, long: bool
) -> None:
    """Its conversation's end is kept for an hour from then on."""
    assert caching.pauses_long([use(permission)], seconds) is long


@pytest.mark.parametrize(
    ("reason", "read", "expected", "miss", "changed"),
    [
        ("", 9_000, 10_000, "", False),
        ("", 100, 10_000, "expired", False),
        ("", 0, 1_000, "", False),
        ("messages_changed", 100, 10_000, "messages_changed", True),
        ("system_changed", 0, 0, "system_changed", True),
        ("previous_message_not_found", 0, 10_000, "previous_message_not_found", False),
    ],
)
def test_a_miss_has_its_reason(
    reason: str, read: int, expected: int, miss: str, *, changed: bool
) -> None:
    """What the service says counts; without a word of it a low read means that entries expired."""
    found = caching.miss(reason, read=read, expected=expected)

    assert (found, caching.is_change(found)) == (miss, changed)
