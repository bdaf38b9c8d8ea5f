"""The embedded server's database file: finished once after its first start, noted as finished."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from contracts.visibility import OC_PENDING_APPROVALS, OC_STATE
from runtime.settings import Settings

SEARCH_ATTRIBUTES: Mapping[str, str] = {OC_STATE: "Keyword", OC_PENDING_APPROVALS: "Int"}
"""Search attribute to its type, as the server's command line writes it."""


def _marker(database: Path) -> Path:
    return database.with_name(f"{database.name}.ready")


def read_marker(database: Path) -> dict[str, str]:
    """Return what is noted of a finished database: `server`, `namespace`, `attributes`."""
    try:
        noted: dict[str, str] = json.loads(_marker(database).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return noted


def forget_marker(database: Path) -> None:
    """Note that a database is not finished: it begins anew."""
    _marker(database).unlink(missing_ok=True)


def set_half_made_aside(database: Path) -> None:
    """
    Move a database without its marker away: the server never repairs a half-made schema.

    Nothing of worth is in it, for nobody is let in before the marker is written.
    """
    if not _marker(database).exists():
        set_aside(database, "half-made")


def set_aside(database: Path, what: str) -> Path | None:
    """Move a database away under a name of its own and return that; None when there was none."""
    number = 1
    while (aside := database.with_name(f"{database.name}.{what}-{number}")).exists():
        number += 1
    there = database.exists()
    for ending in ("-wal", "-shm", ""):
        part = database.with_name(f"{database.name}{ending}")
        if part.exists():
            part.replace(aside.with_name(f"{aside.name}{ending}"))
    return aside if there else None


def is_finished(settings: Settings) -> bool:
    """Say whether the database needs nothing more before people are let in."""
    return read_marker(settings.database).items() >= wanted(settings).items()


def wanted(settings: Settings) -> dict[str, str]:
    """Return what must be noted of a finished database."""
    return {
        "namespace": settings.temporal_namespace,
        "attributes": ",".join(f"{name}={kind}" for name, kind in SEARCH_ATTRIBUTES.items()),
    }


def write_marker(settings: Settings, *, server_version: str) -> None:
    """Note that the database is finished; the release that made it stays noted."""
    marker = _marker(settings.database)
    noted = {"server": server_version, **read_marker(settings.database), **wanted(settings)}
    draft = marker.with_name(f"{marker.name}.new")
    with draft.open("w", encoding="utf-8") as file:
        json.dump(noted, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(marker)
