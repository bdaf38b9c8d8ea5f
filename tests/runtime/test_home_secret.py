"""The secret of a home."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from runtime.errors import SettingsError
from runtime.home_secret import home_secret
from runtime.settings import Settings


def test_the_secret_is_made_once_for_its_owner_alone(settings: Settings, home: Path) -> None:
    """Several at once get the same; nobody else can read the file, and no draft is left."""
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: home_secret(settings), range(16)))

    assert len(found) == 1
    assert len(found.pop()) == 64
    assert (home / "secret").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in home.glob(".secret*")] == []


def test_a_secret_that_others_could_read_is_refused(settings: Settings, home: Path) -> None:
    """The remedy is named."""
    home_secret(settings)
    (home / "secret").chmod(0o644)

    with pytest.raises(SettingsError, match="delete it, and a new one is made"):
        home_secret(settings)
