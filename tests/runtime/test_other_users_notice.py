"""Who counts as another person on the machine."""

import pwd
from pathlib import Path

import pytest

from runtime.other_users import notice_once, other_logins
from runtime.settings import Settings, load


def user(name: str, number: int, shell: str = "/bin/bash") -> pwd.struct_passwd:
    """Make a line of the table of users."""
    return pwd.struct_passwd((name, "x", number, number, "", f"/home/{name}", shell))


def test_other_people_with_a_shell_count() -> None:
    """Not oneself, nor root, nor users of programs, nor those that cannot log in."""
    users = [
        user("root", 0),
        user("me", 1_000),
        user("bob", 1_001),
        user("ada", 1_002, "/usr/bin/zsh"),
        user("gone", 1_003, "/usr/sbin/nologin"),
        user("daemon", 2),
        user("nobody", 65_534),
        user("sandbox", 60_001),
    ]

    assert other_logins(users, 1_000) == ["ada", "bob"]
    assert other_logins([user("root", 0)], 0) == []


def test_a_person_is_told_once(
    settings: Settings, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the names and the remedy; never where the remedy is in force, or where nobody is."""
    settings.ensure_home()
    monkeypatch.setattr(pwd, "getpwall", lambda: [user("ada", 54_321)])
    shared = load({**settings.environment, "ORCHESTCODE_SHARED_HOST": "yes"})

    assert notice_once(shared) == ""
    said = notice_once(settings)
    assert "the other users of this machine (ada)" in said
    assert "ORCHESTCODE_SHARED_HOST=yes" in said
    assert notice_once(settings) == ""

    (home / "told-of-other-users").unlink()
    monkeypatch.setattr(pwd, "getpwall", list)
    assert notice_once(settings) == ""
