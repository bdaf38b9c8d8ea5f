"""Who else can log in to this machine; a person is told once a home."""

import os
import pwd
from collections.abc import Sequence
from pathlib import PurePath

from runtime.settings import Settings

_FIRST_PERSON = 1_000
_PROGRAMS = range(60_000, 65_536)
"""Numbers that Linux distributions give to users of programs, not of people."""
_NO_SHELLS = frozenset({"nologin", "false", "sync", "halt", "shutdown", ""})


def other_logins(users: Sequence[pwd.struct_passwd], own: int) -> list[str]:
    """Return the names of other people's users that have a shell."""
    return sorted(
        user.pw_name
        for user in users
        if user.pw_uid >= _FIRST_PERSON
        and user.pw_uid not in _PROGRAMS
        and user.pw_uid != own
        and PurePath(user.pw_shell).name not in _NO_SHELLS
    )


def notice_once(settings: Settings) -> str:
    """Return what a person should know of others on this machine, "" the second time."""
    told = settings.home / "told-of-other-users"
    names = other_logins(pwd.getpwall(), os.geteuid())
    if settings.shared_host or not names or told.exists():
        return ""
    told.touch()
    some = ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")
    return (
        f"The Temporal server can be reached by the other users of this machine ({some}), who "
        "could read, answer and start requests; ORCHESTCODE_SHARED_HOST=yes prevents it."
    )
