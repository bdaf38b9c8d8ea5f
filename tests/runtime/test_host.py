"""The host id: made once."""

import re
from concurrent.futures import ThreadPoolExecutor

from runtime.host import host_id
from runtime.settings import Settings


def test_kept(settings: Settings) -> None:
    """A host keeps its id; it can stand in a task queue's name."""
    first = host_id(settings)

    assert re.fullmatch(r"[a-z0-9-]+-[0-9a-f]{8}", first)
    assert host_id(settings) == first


def test_made_once(settings: Settings) -> None:
    """Of many that ask at once all get the same id, and no draft is left."""
    with ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(host_id, [settings] * 64))

    assert len(ids) == 1
    assert [file.name for file in settings.home.iterdir() if file.is_file()] == ["host_id"]
