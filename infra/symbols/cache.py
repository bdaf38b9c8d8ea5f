"""What contents define, by object id, and maps that were made: once for all requests of a home.

A cache: when it is lost, locked or damaged, all is made again.
"""

import contextlib
import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

VERSION: Final = 1
"""Of what is kept; another one begins anew."""
_MOST: Final = 200_000
"""Contents kept; beyond that the oldest quarter goes."""
_AT_ONCE: Final = 500
_SCHEMA: Final = "CREATE TABLE IF NOT EXISTS symbols (key TEXT PRIMARY KEY, found BLOB NOT NULL)"


class SymbolCache:
    """Keeps texts by their keys in a file."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}.{VERSION}")

    def known(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return what is kept under these keys."""
        wanted, found = list(keys), dict[str, bytes]()
        with contextlib.suppress(sqlite3.Error, OSError, zlib.error), self._open() as database:
            for start in range(0, len(wanted), _AT_ONCE):
                part = wanted[start : start + _AT_ONCE]
                marks = ",".join("?" * len(part))
                rows = database.execute(
                    f"SELECT key, found FROM symbols WHERE key IN ({marks})",  # noqa: S608 - marks
                    part,
                )
                found |= {key: zlib.decompress(packed) for key, packed in rows}
        return found

    def keep(self, found: Mapping[str, bytes]) -> None:
        """Keep texts; beyond a limit the oldest go."""
        if not found:
            return
        with contextlib.suppress(sqlite3.Error, OSError), self._open() as database, database:
            database.executemany(
                "INSERT OR REPLACE INTO symbols VALUES (?, ?)",
                [(key, zlib.compress(line, 1)) for key, line in found.items()],
            )
            (count,) = database.execute("SELECT count(*) FROM symbols").fetchone()
            if count > _MOST:
                database.execute(
                    "DELETE FROM symbols WHERE rowid IN "
                    "(SELECT rowid FROM symbols ORDER BY rowid LIMIT ?)",
                    (_MOST // 4,),
                )

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection; a damaged file is put aside."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._path, timeout=1.0)
        try:
            database.execute("PRAGMA synchronous = OFF")
            database.execute(_SCHEMA)
            yield database
        except sqlite3.DatabaseError as error:
            if not isinstance(error, sqlite3.OperationalError):
                self._path.unlink(missing_ok=True)
            raise
        finally:
            database.close()
