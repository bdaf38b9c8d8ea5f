"""
The copy of the embedded server's database: made while the server runs, put back when it is lost.

What a copy does not know any more stands in the stores: steps that are done again are found there.
"""

import contextlib
import datetime as dt
import json
import math
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from runtime.services.database import forget_marker, read_marker, set_aside

_THOROUGH = "PRAGMA quick_check(1)"
_QUICK = "SELECT count(*) FROM sqlite_master"
_LOCK_SECONDS = 5.0
_SPARE_BYTES = 50_000_000
"""Room that a copy leaves to the others on its disk."""


class DamagedError(Exception):
    """The database cannot be read; the text is what SQLite says."""


class BackupError(Exception):
    """No copy can be made at the moment; the last one stays."""


def copy_of(database: Path) -> Path:
    """Return where a database's copy lies."""
    return database.with_name(f"{database.name}.copy")


def has_copy(database: Path) -> bool:
    """
    Say whether there is a sound copy.

    Raises:
        BackupError: there is one, but it cannot be read now.
    """
    copy = copy_of(database)
    if not copy.exists():
        return False
    try:
        _check(copy, _THOROUGH, mode="ro&immutable=1")
    except DamagedError:
        return False
    except sqlite3.OperationalError as problem:
        raise BackupError(f"The copy {copy} cannot be read: {problem}.") from problem
    return True


def back_up(database: Path) -> None:
    """
    Copy a database as it is at this moment, while it is in use: whole, checked and synced.

    Nothing is done when nothing was written since the last copy.

    Raises:
        DamagedError: it cannot be read any more, or its copy is not sound.
        BackupError: it cannot be copied now: no room, or it is locked.
    """
    copy = copy_of(database)
    draft = copy.with_name(f"{copy.name}.new")
    try:
        now = time.time()
        if copy.exists() and _last_written(database) < copy.stat().st_mtime:
            return
        _check_room(database)
        draft.unlink(missing_ok=True)
        with _opened(database, "ro") as source, _opened(draft, "rwc") as target:
            source.backup(target)
        _check(draft, _THOROUGH)
        os.utime(draft, (now, now))  # what is written meanwhile is younger than the copy
        _sync(draft)
        draft.replace(copy)
        _sync(database.parent)
    except (sqlite3.OperationalError, OSError) as problem:
        raise BackupError(f"The Temporal database cannot be copied: {problem}.") from problem
    except sqlite3.DatabaseError as problem:
        raise DamagedError(str(problem)) from problem
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def _last_written(database: Path) -> float:
    parts = (database, database.with_name(f"{database.name}-wal"))
    states = [part.stat() for part in parts if part.exists()]
    # Whoever only reads makes a log without anything in it.
    return max((state.st_mtime for state in states if state.st_size), default=math.inf)


def _check_room(database: Path) -> None:
    size, free = database.stat().st_size, shutil.disk_usage(database.parent).free
    if free < size + _SPARE_BYTES:
        raise BackupError(
            f"The Temporal database cannot be copied: {free // 1_000_000} MB are free in "
            f"{database.parent}, {(size + _SPARE_BYTES) // 1_000_000} MB are needed."
        )


def lost(database: Path, *, thoroughly: bool = False) -> str | None:
    """
    Say why a finished database cannot be used, "is gone" or "is damaged (…)"; None when it can.

    Args:
        database: of a server that does not run.
        thoroughly: read all of it, not only its beginning.
    """
    if not read_marker(database):
        return None  # new, or half made
    if not database.exists() or not database.stat().st_size:
        return "is gone"
    try:
        _check(database, _THOROUGH if thoroughly else _QUICK)
    except DamagedError as damage:
        return f"is damaged ({damage})"
    except sqlite3.OperationalError:
        pass  # locked, or not ours to read: that says nothing of what is in it
    return None


def put_back(database: Path, why: str) -> str | None:
    """
    Put the copy in the place of a lost database, which is set aside; say what a person must know.

    A damaged database without a copy stays as it is, for somebody may mend it: None. Safe to repeat
    after any crash.

    Raises:
        BackupError: the copy cannot be read now.
        OSError: it cannot be written now.
    """
    copy, usable = copy_of(database), has_copy(database)
    if not usable and database.exists() and database.stat().st_size:
        return None
    aside = set_aside(database, "damaged")
    kept = f" What is left of it was moved to {aside}." if aside else ""
    if not usable:
        _note_forgotten(database, 0.0)
        forget_marker(database)
        return (
            f"The Temporal database {database} {why}, and there is no copy: a new one begins.{kept}"
            " Requests that were open are started again; what they had done is found in the stores."
        )
    since = copy.stat().st_mtime
    _note_forgotten(database, since)
    made = dt.datetime.fromtimestamp(since).astimezone()
    draft = database.with_name(f"{database.name}.new")
    shutil.copyfile(copy, draft)
    _sync(draft)
    draft.replace(database)
    _sync(database.parent)
    return (
        f"The Temporal database {database} {why}; its copy of {made:%Y-%m-%d %H:%M:%S} goes on."
        f"{kept} What was done since is found in the stores, and requests made since are started "
        "again; answers and notes given since have to be given again."
    )


def forgotten(database: Path) -> tuple[float, float] | None:
    """
    Return between which moments the database knows nothing; None when it was never put back.

    They are when the copy was made and when it took its place, in seconds since the epoch.
    """
    try:
        since, until = json.loads(_period(database).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return since, until


def _note_forgotten(database: Path, since: float) -> None:
    file = _period(database)
    draft = file.with_name(f"{file.name}.new")
    draft.write_text(json.dumps([since, time.time()]), encoding="utf-8")
    _sync(draft)
    draft.replace(file)


def _period(database: Path) -> Path:
    return database.with_name(f"{database.name}.forgotten")


def _check(database: Path, statement: str, *, mode: str = "rw") -> None:
    try:
        with _opened(database, mode) as connection:
            found = connection.execute(statement).fetchone()
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as problem:
        raise DamagedError(str(problem)) from problem
    if statement == _THOROUGH and found != ("ok",):
        raise DamagedError(str(found and found[0])[:300])


@contextlib.contextmanager
def _opened(database: Path, mode: str) -> Iterator[sqlite3.Connection]:
    address = f"file:{quote(str(database))}?mode={mode}"
    with contextlib.closing(
        sqlite3.connect(address, uri=True, timeout=_LOCK_SECONDS)
    ) as connection:
        yield connection


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
