"""Commits listed for readers."""

from infra.store.store import Store


async def log(store: Store, tip: str, *, most: int, since: str | None = None) -> list[str]:
    """Return the newest commits of a tip, merges left out: short id and subject.

    `since` leaves out what this commit has already.
    """
    words = ("log", "--no-merges", "--no-decorate", "--no-show-signature", f"--max-count={most}")
    ends = [await store.full_id(tip), *([f"^{await store.full_id(since)}"] if since else [])]
    found = await store.run(*words, "--format=%h %s", *ends, "--", reads=True)
    return found.out.decode("utf-8", "replace").splitlines()
