"""
The copy of the server's database: sound or not there, and put back only in the place of a loss.
"""

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
    copy_of,
    has_copy,
    lost,
    put_back,
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
    """Spoil a page in the middle: only who reads all of it sees that."""
    with database.open("r+b") as file:
        file.seek(8 * _PAGE)
        file.write(bytes(4 * _PAGE))


def garbage(database: Path) -> None:
    """Write over the beginning."""
    with database.open("r+b") as file:
        file.write(b"not a database" * 300)


def halved(database: Path) -> None:
    """Cut off the end."""
    os.truncate(database, database.stat().st_size // 2)


def test_a_copy_holds_what_was_committed_while_others_write(database: Path) -> None:
    """Rows that are only in the WAL are in it, what is not committed is not, and nobody waits."""
    with writing(database) as connection:
        connection.execute("INSERT INTO steps VALUES ('committed')")
        connection.commit()
        connection.execute("INSERT INTO steps VALUES ('under way')")
        back_up(database)

    assert steps(copy_of(database)) == 101
    assert steps(database) == 102


def test_a_copy_is_made_again_only_when_something_was_written(database: Path) -> None:
    """Nothing is copied twice, and a change is never overlooked."""
    back_up(database)
    first = copy_of(database).stat().st_ino
    back_up(database)
    assert copy_of(database).stat().st_ino == first
    with writing(database) as connection:
        connection.execute("INSERT INTO steps VALUES ('more')")
    back_up(database)

    assert steps(copy_of(database)) == 101


@pytest.mark.parametrize("spoil", [zeroed, garbage, halved])
def test_a_damaged_database_does_not_replace_its_copy(
    database: Path, spoil: Callable[[Path], None]
) -> None:
    """However it is damaged, the last sound copy stays."""
    back_up(database)
    spoil(database)
    os.utime(database, (time.time() + 10,) * 2)

    with pytest.raises(DamagedError):
        back_up(database)
    assert has_copy(database)
    assert steps(copy_of(database)) == 100
    assert not list(database.parent.glob("*.new"))


def test_a_copy_that_finds_no_room_says_so(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence tells how much is needed; nothing is left half-written."""
    full = shutil._ntuple_diskusage(10**9, 10**9 - 1_000_000, 1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)

    with pytest.raises(BackupError, match=r"1 MB are free in .*, 50 MB are needed"):
        back_up(database)
    assert not has_copy(database)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [(zeroed, "is damaged"), (garbage, "is damaged"), (halved, "is damaged"),
     (Path.unlink, "is gone"), (lambda path: os.truncate(path, 0), "is gone")],
)  # fmt: skip
def test_a_lost_database_is_replaced_by_its_copy(
    database: Path, spoil: Callable[[Path], None], why: str
) -> None:
    """What is left of it is kept aside; the sentence says what happened and what was lost."""
    back_up(database)
    spoil(database)

    found = lost(database, thoroughly=True) or ""
    said = put_back(database, found) or ""

    assert why in found
    assert found in said
    assert "its copy of 20" in said
    assert steps(database) == 100
    assert lost(database, thoroughly=True) is None
    assert has_copy(database)
    aside = list(database.parent.glob("*.damaged-?"))
    assert bool(aside) == (spoil is not Path.unlink)
    assert all(str(path) in said for path in aside)


def test_a_sound_database_is_not_lost(database: Path) -> None:
    """Nor is one that somebody locks, one that has a WAL, or one that has never been finished."""
    assert lost(database, thoroughly=True) is None
    write = "import sqlite3, sys, os; c = sqlite3.connect(sys.argv[1]); "
    write += "c.execute('INSERT INTO steps VALUES (1)'); c.commit(); os._exit(0)"
    subprocess.run([sys.executable, "-c", write, str(database)], check=True)
    assert database.with_name("temporal.db-wal").stat().st_size
    assert lost(database, thoroughly=True) is None
    assert steps(database) == 101
    with writing(database) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert lost(database) is None
    database.with_name("temporal.db.ready").unlink()
    garbage(database)
    assert lost(database) is None


def test_a_copy_that_cannot_be_read_now_is_not_taken_for_none(database: Path) -> None:
    """Nothing is begun anew, nothing set aside: it is tried again."""
    copy_of(database).mkdir()
    database.unlink()

    with pytest.raises(BackupError, match="cannot be read"):
        put_back(database, lost(database) or "")
    assert read_marker(database)


def test_a_damaged_database_without_a_sound_copy_stays(database: Path) -> None:
    """Somebody may mend it; only one that is gone begins anew, and says so."""
    back_up(database)
    garbage(copy_of(database))
    garbage(database)
    assert put_back(database, "is damaged") is None
    assert database.read_bytes().startswith(b"not a database")

    database.unlink()
    said = put_back(database, lost(database) or "")
    assert said is not None
    assert "is gone, and there is no copy: a new one begins" in said
    assert read_marker(database) == {}
