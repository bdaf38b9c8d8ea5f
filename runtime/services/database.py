"""The embedded server's database file, and the marker that says its set-up is finished."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from contracts.visibility import OC_PENDING_APPROVALS, OC_STATE
from runtime.settings import Settings

SEARCH_ATTRIBUTES: Mapping[str, str] = {OC_STATE: "Keyword", OC_PENDING_APPROVALS: "Int"}
"""Search attribute to its type, as the server's command line writes it."""


def _marker_file(database: Path) -> Path:
    return database.with_name(f"{database.name}.ready")


def read_marker(database: Path) -> dict[str, str]:
    """Return the marker of a database: `server`, `namespace`, `attributes`; {} when it has none."""
    try:
        marker: dict[str, str] = json.loads(_marker_file(database).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return marker


def remove_marker(database: Path) -> None:
    """Remove the marker: a new database is set up next."""
    _marker_file(database).unlink(missing_ok=True)


def move_unfinished_aside(database: Path) -> None:
    """Move a database without a marker aside: the server never repairs an unfinished schema.

    It holds no request, since no client connects before the marker is written.
    """
    if not _marker_file(database).exists():
        move_aside(database, "half-made")


def move_aside(database: Path, what: str) -> Path | None:
    """Move a database to a free name and return it; None when there was no database."""
    number = 1
    while (aside := database.with_name(f"{database.name}.{what}-{number}")).exists():
        number += 1
    existed = database.exists()
    for ending in ("-wal", "-shm", ""):
        part = database.with_name(f"{database.name}{ending}")
        if part.exists():
            part.replace(aside.with_name(f"{aside.name}{ending}"))
    return aside if existed else None


def is_finished(settings: Settings) -> bool:
    """Return whether the database's set-up is finished for these settings."""
    return read_marker(settings.database).items() >= expected_marker(settings).items()


def expected_marker(settings: Settings) -> dict[str, str]:
    """Return what the marker of a finished database must hold."""
    return {
        "namespace": settings.temporal_namespace,
        "attributes": ",".join(f"{name}={kind}" for name, kind in SEARCH_ATTRIBUTES.items()),
    }


def write_marker(settings: Settings, *, server_version: str) -> None:
    """Write the marker; the release that made the database stays in it."""
    marker = _marker_file(settings.database)
    content = {
        "server": server_version,
        **read_marker(settings.database),
        **expected_marker(settings),
    }
    draft = marker.with_name(f"{marker.name}.new")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(marker)
