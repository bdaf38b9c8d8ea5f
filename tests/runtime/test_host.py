"""The host id: created once."""

import re
from concurrent.futures import ThreadPoolExecutor

from runtime.host import host_id
from runtime.settings import Settings


def test_a_host_keeps_its_id(settings: Settings) -> None:
    """The id fits into the name of a task queue."""
    first = host_id(settings)

    assert re.fullmatch(r"[a-z0-9-]+-[0-9a-f]{8}", first)
    assert host_id(settings) == first


def test_concurrent_callers_get_the_same_id(settings: Settings) -> None:
    """No draft file is left."""
    with ThreadPoolExecutor(16) as pool:
        ids = set(pool.map(host_id, [settings] * 64))

    assert len(ids) == 1
    assert [file.name for file in settings.home.iterdir() if file.is_file()] == ["host_id"]
