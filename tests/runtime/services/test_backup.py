"""Backups of the server's database: sound or absent, and restored only after a loss."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.services.backup import (
    BackupError,
    DamagedError,
    back_up,
    backup_path,
    find_loss,
    has_sound_backup,
    restore_backup,
)
from runtime.services.database import read_marker, write_marker
from runtime.settings import load

_PAGE = 4096


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A finished database as the server leaves it, with its changes still in the WAL."""
    settings = load({"ORCHESTCODE_HOME": str(tmp_path)})
    write_marker(settings, server_version="1.9")
    with writing(settings.database) as connection:
        connection.execute("PRAGMA journal_mode=wal")
        connection.execute("CREATE TABLE steps (text)")
        connection.executemany("INSERT INTO steps VALUES (?)", [(os.urandom(400).hex(),)] * 100)
    return settings.database


@contextlib.contextmanager
def writing(database: Path) -> Iterator[sqlite3.Connection]:
    """Write to a database as the server does."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        yield connection
        connection.commit()


def steps(database: Path) -> int:
    """Return how many rows there are."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return int(connection.execute("SELECT count(*) FROM steps").fetchone()[0])


def zeroed(database: Path) -> None:
    """Overwrite pages in the middle: only a full check finds that."""
    with database.open("r+b") as file:
        file.seek(8 * _PAGE)
        file.write(bytes(4 * _PAGE))


def garbage(database: Path) -> None:
    """Overwrite the beginning."""
    with database.open("r+b") as file:
        file.write(b"not a database" * 300)


def halved(database: Path) -> None:
    """Truncate it in the middle."""
    os.truncate(database, database.stat().st_size // 2)


def test_a_backup_holds_the_committed_rows_while_a_transaction_is_open(database: Path) -> None:
    """Committed rows of the WAL are in it, uncommitted ones are not; the writer does not wait."""
    with writing(database) as connection:
        connection.execute("INSERT INTO steps VALUES ('committed')")
        connection.commit()
        connection.execute("INSERT INTO steps VALUES ('uncommitted')")
        back_up(database)

    assert steps(backup_path(database)) == 101
    assert steps(database) == 102


def test_a_backup_is_made_again_only_after_a_write(database: Path) -> None:
    """Nothing is copied twice, and no change is missed."""
    back_up(database)
    first = backup_path(database).stat().st_ino
    back_up(database)
    assert backup_path(database).stat().st_ino == first
    with writing(database) as connection:
        connection.execute("INSERT INTO steps VALUES ('more')")
    back_up(database)

    assert steps(backup_path(database)) == 101


@pytest.mark.parametrize("spoil", [zeroed, garbage, halved])
def test_a_damaged_database_does_not_replace_its_backup(
    database: Path, spoil: Callable[[Path], None]
) -> None:
    """Whatever the damage, the last sound backup stays."""
    back_up(database)
    spoil(database)
    os.utime(database, (time.time() + 10,) * 2)

    with pytest.raises(DamagedError):
        back_up(database)
    assert has_sound_backup(database)
    assert steps(backup_path(database)) == 100
    assert not list(database.parent.glob("*.new"))


def test_a_backup_without_free_space_names_what_is_needed(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the space that is needed; no partial file is left."""
    full = shutil._ntuple_diskusage(10**9, 10**9 - 1_000_000, 1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)

    with pytest.raises(BackupError, match=r"1 MB are free in .*, 50 MB are needed"):
        back_up(database)
    assert not has_sound_backup(database)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [(zeroed, "is damaged"), (garbage, "is damaged"), (halved, "is damaged"),
     (Path.unlink, "is gone"), (lambda path: os.truncate(path, 0), "is gone")],
)  # fmt: skip
def test_a_lost_database_is_replaced_by_its_backup(
    database: Path, spoil: Callable[[Path], None], why: str
) -> None:
    """What is left of it is moved aside; the notice says what happened and what was lost."""
    back_up(database)
    spoil(database)

    loss = find_loss(database, thoroughly=True) or ""
    notice = restore_backup(database, loss) or ""

    assert why in loss
    assert loss in notice
    assert "its backup of 20" in notice
    assert steps(database) == 100
    assert find_loss(database, thoroughly=True) is None
    assert has_sound_backup(database)
    aside = list(database.parent.glob("*.damaged-?"))
    assert bool(aside) == (spoil is not Path.unlink)
    assert all(str(path) in notice for path in aside)


def test_a_sound_database_is_not_lost(database: Path) -> None:
    """Nor is one that is locked, one that has a WAL, or one whose set-up was never finished."""
    assert find_loss(database, thoroughly=True) is None
    write = "import sqlite3, sys, os; c = sqlite3.connect(sys.argv[1]); "
    write += "c.execute('INSERT INTO steps VALUES (1)'); c.commit(); os._exit(0)"
    subprocess.run([sys.executable, "-c", write, str(database)], check=True)
    assert database.with_name("temporal.db-wal").stat().st_size
    assert find_loss(database, thoroughly=True) is None
    assert steps(database) == 101
    with writing(database) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert find_loss(database) is None
    database.with_name("temporal.db.ready").unlink()
    garbage(database)
    assert find_loss(database) is None


def test_a_backup_that_cannot_be_read_now_is_not_treated_as_missing(database: Path) -> None:
    """The database is neither made again nor moved aside: the restore can be retried."""
    backup_path(database).mkdir()
    database.unlink()

    with pytest.raises(BackupError, match="cannot be read"):
        restore_backup(database, find_loss(database) or "")
    assert read_marker(database)


def test_a_damaged_database_without_a_sound_backup_stays(database: Path) -> None:
    """A person may repair it; only a missing database is made again, with a notice."""
    back_up(database)
    garbage(backup_path(database))
    garbage(database)
    assert restore_backup(database, "is damaged") is None
    assert database.read_bytes().startswith(b"not a database")

    database.unlink()
    notice = restore_backup(database, find_loss(database) or "")
    assert notice is not None
    assert "is gone, and there is no backup: a new one is made" in notice
    assert read_marker(database) == {}
