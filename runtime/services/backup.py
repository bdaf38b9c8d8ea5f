"""Backups of the embedded server's database: made while it runs, restored when it is lost.

Steps that were finished after the backup are found in the stores when they are repeated.
"""

import contextlib
import datetime as dt
import json
import math
import os
import shutil
import sqlite3
import time
from pathlib import Path
from urllib.parse import quote

from runtime.services.database import move_aside, read_marker, remove_marker

_FULL_CHECK = "PRAGMA quick_check(1)"
_QUICK_CHECK = "SELECT count(*) FROM sqlite_master"
_LOCK_SECONDS = 5.0
_RESERVED_BYTES = 50_000_000
"""Free space that a backup leaves on its disk."""


class DamagedError(Exception):
    """The database cannot be read; the text is SQLite's message."""


class BackupError(Exception):
    """No backup can be made or read at the moment; the last one stays."""


def backup_path(database: Path) -> Path:
    """Return the path of a database's backup."""
    return database.with_name(f"{database.name}.copy")


def has_sound_backup(database: Path) -> bool:
    """Return whether there is a sound backup; BackupError when it cannot be read now."""
    backup = backup_path(database)
    if not backup.exists():
        return False
    try:
        _check(backup, _FULL_CHECK, mode="ro&immutable=1")
    except DamagedError:
        return False
    except sqlite3.OperationalError as problem:
        raise BackupError(f"The backup {backup} cannot be read: {problem}.") from problem
    return True


def back_up(database: Path) -> None:
    """Back up a database while it is in use; the backup is complete, checked and synced.

    Does nothing when nothing was written since the last backup.

    Raises:
        DamagedError: it cannot be read any more, or its backup is not sound.
        BackupError: it cannot be backed up now: no room, or it is locked.
    """
    backup = backup_path(database)
    draft = backup.with_name(f"{backup.name}.new")
    try:
        now = time.time()
        if backup.exists() and _last_written(database) < backup.stat().st_mtime:
            return
        _check_free_space(database)
        draft.unlink(missing_ok=True)
        with _connection(database, "ro") as source, _connection(draft, "rwc") as target:
            source.backup(target)
        _check(draft, _FULL_CHECK)
        os.utime(draft, (now, now))  # later writes must be younger than the backup
        _sync(draft)
        draft.replace(backup)
        _sync(database.parent)
    except (sqlite3.OperationalError, OSError) as problem:
        raise BackupError(f"The Temporal database cannot be backed up: {problem}.") from problem
    except sqlite3.DatabaseError as problem:
        raise DamagedError(str(problem)) from problem
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def _last_written(database: Path) -> float:
    parts = (database, database.with_name(f"{database.name}-wal"))
    states = [part.stat() for part in parts if part.exists()]
    # A process that only reads leaves an empty log.
    return max((state.st_mtime for state in states if state.st_size), default=math.inf)


def _check_free_space(database: Path) -> None:
    size, free = database.stat().st_size, shutil.disk_usage(database.parent).free
    if free < size + _RESERVED_BYTES:
        raise BackupError(
            f"The Temporal database cannot be backed up: {free // 1_000_000} MB are free in "
            f"{database.parent}, {(size + _RESERVED_BYTES) // 1_000_000} MB are needed."
        )


def find_loss(database: Path, *, thoroughly: bool = False) -> str | None:
    """Return why a database cannot be used, "is gone" or "is damaged (…)"; None when it can.

    Its server must not run. It is read `thoroughly`, or only at its beginning.
    """
    if not read_marker(database):
        return None  # new, or its set-up is not finished
    if not database.exists() or not database.stat().st_size:
        return "is gone"
    try:
        _check(database, _FULL_CHECK if thoroughly else _QUICK_CHECK)
    except DamagedError as damage:
        return f"is damaged ({damage})"
    except sqlite3.OperationalError:
        pass  # locked, or not readable for us: neither means damage
    return None


def restore_backup(database: Path, why: str) -> str | None:
    """Replace a lost database by its backup and return a notice for a person.

    The lost database is moved aside. A damaged one without a backup stays as it is, so that a
    person can repair it; the notice is None then. Safe to repeat after any crash.

    Raises:
        BackupError: the backup cannot be read now.
        OSError: the database cannot be written now.
    """
    backup, has_backup = backup_path(database), has_sound_backup(database)
    if not has_backup and database.exists() and database.stat().st_size:
        return None
    aside = move_aside(database, "damaged")
    moved = f" What is left of it was moved to {aside}." if aside else ""
    if not has_backup:
        _write_lost_period_file(database, 0.0)
        remove_marker(database)
        return (
            f"The Temporal database {database} {why}, and there is no backup: a new one is made."
            f"{moved} Open requests are started again; their finished steps are in the stores."
        )
    since = backup.stat().st_mtime
    _write_lost_period_file(database, since)
    made = dt.datetime.fromtimestamp(since).astimezone()
    draft = database.with_name(f"{database.name}.new")
    shutil.copyfile(backup, draft)
    _sync(draft)
    draft.replace(database)
    _sync(database.parent)
    return (
        f"The Temporal database {database} {why}; its backup of {made:%Y-%m-%d %H:%M:%S} replaces "
        f"it.{moved} Steps finished since then are in the stores, and requests made since "
        "then are started again; answers and notes given since then must be given again."
    )


def lost_period(database: Path) -> tuple[float, float] | None:
    """Return the period that a restored database has no record of; None without a restore.

    It runs from when the backup was made to when it was restored, in seconds since the epoch.
    """
    try:
        since, until = json.loads(_period_file(database).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return since, until


def _write_lost_period_file(database: Path, since: float) -> None:
    file = _period_file(database)
    draft = file.with_name(f"{file.name}.new")
    draft.write_text(json.dumps([since, time.time()]), encoding="utf-8")
    _sync(draft)
    draft.replace(file)


def _period_file(database: Path) -> Path:
    return database.with_name(f"{database.name}.forgotten")


def _check(database: Path, statement: str, *, mode: str = "rw") -> None:
    try:
        with _connection(database, mode) as connection:
            result = connection.execute(statement).fetchone()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as problem:
        raise DamagedError(str(problem)) from problem
    if statement == _FULL_CHECK and result != ("ok",):
        raise DamagedError(str(result and result[0])[:300])


def _connection(database: Path, mode: str) -> contextlib.closing[sqlite3.Connection]:
    address = f"file:{quote(str(database))}?mode={mode}"
    return contextlib.closing(sqlite3.connect(address, uri=True, timeout=_LOCK_SECONDS))


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
