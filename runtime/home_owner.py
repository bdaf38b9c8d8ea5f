"""Whose the home is: a folder of another user, or that others can change, is not used."""

import grp
import os
import pwd
import stat
from pathlib import Path

from runtime.errors import SettingsError

_OVERFLOW_UID = 65_534
"""Who owns, as a container sees it, what belongs to nobody inside."""


def refuse_foreign_home(home: Path) -> None:
    """Raise a SettingsError when somebody else owns the home or could replace it.

    Whoever can write there decides what our git, our worker and our server do, which is why root
    does not use another user's folder either. What does not exist yet is passed over.
    """
    for path in (home, home.resolve()):
        for folder in (*reversed(path.parents), path):
            if problem := _problem(folder, home):
                raise SettingsError(f"ORCHESTCODE_HOME: {problem}")


def _problem(folder: Path, home: Path) -> str:
    """Return what is wrong with the home or a folder above it, "" for nothing."""
    try:
        link, found = folder.lstat(), folder.stat()
    except OSError:
        return ""
    is_home = folder in (home, home.resolve())
    ours = {os.geteuid()} if is_home else {os.geteuid(), 0, _OVERFLOW_UID}
    if found.st_uid not in ours:
        return _foreign(folder, found.st_uid, home, is_home=is_home)
    if link.st_uid not in {os.geteuid(), 0, _OVERFLOW_UID}:
        return _foreign(folder, link.st_uid, home, is_home=False)
    if _writable_by_others(found) and (is_home or not found.st_mode & stat.S_ISVTX):
        return (
            f"others can write to {folder}; see that nothing in it is theirs, then run "
            f"`chmod go-w {folder}`, or set it to a folder that only you can write to."
        )
    return ""


def _foreign(folder: Path, owner: int, home: Path, *, is_home: bool) -> str:
    name = _user(owner)
    where = f"the folder {folder}" if is_home else f"{folder}, on the way to {home},"
    return (
        f"{where} belongs to {name}; run OrchestCode as {name}, or set it to a folder of your own."
    )


def _writable_by_others(found: os.stat_result) -> bool:
    if found.st_mode & stat.S_IWOTH:
        return True
    return bool(found.st_mode & stat.S_IWGRP) and _has_others(found.st_gid)


def _has_others(group: int) -> bool:
    """Return whether somebody but us and root is in a group; a user's own group has nobody."""
    ours = {_user(os.geteuid()), "root"}
    try:
        members = set(grp.getgrgid(group).gr_mem)
    except KeyError:
        members = set()
    members |= {each.pw_name for each in pwd.getpwall() if each.pw_gid == group}
    return bool(members - ours)


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"
