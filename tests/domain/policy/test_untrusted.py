"""What holds for a request whose words are a stranger's."""

import pytest

from contracts.permissions import PermissionMode, PermissionRule, RequestPermissions, Scope
from contracts.verdicts import Permission
from domain.policy.untrusted import for_stranger


def rule(permission: Permission, text: str) -> PermissionRule:
    """Return a rule of the person's own file."""
    return PermissionRule(permission=permission, text=text, scope=Scope.USER, file="settings.json")


RULES = tuple(rule(permission, f"Bash({permission.value})") for permission in Permission)


@pytest.mark.parametrize("mode", PermissionMode)
def test_only_what_tightens_stays(mode: PermissionMode) -> None:
    """Rules that deny and ask, and the two modes that are stricter than none."""
    record = RequestPermissions(rules=RULES, mode=mode, mode_file="settings.json", folders=("/a",))
    found = for_stranger(record)

    assert {each.permission for each in found.rules} == {Permission.DENY, Permission.ASK}
    tightens = mode in {PermissionMode.PLAN, PermissionMode.DONT_ASK}
    assert found.mode is (mode if tightens else PermissionMode.DEFAULT)
    assert (found.folders, found.untrusted) == ((), True)
    said = "\n".join(found.warnings)
    assert "Bash(allow) does not count" in said
    assert "/a does not count" in said
    assert (f"{mode.value} does not count" in said) == (
        not tightens and mode is not PermissionMode.DEFAULT
    )


def test_nothing_is_said_where_nothing_loosens() -> None:
    """A request without rules has no notes of it."""
    assert for_stranger(RequestPermissions()).warnings == ()
