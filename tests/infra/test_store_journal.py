"""The journal: the outcome of a call under its id, recorded once."""

import pytest

from infra.store import RefConflict, RefUpdate, journal
from tests.infra.bench import Job

REF = "refs/oc/one/task/a/call/c1"
OTHER = "refs/oc/one/task/a/checkpoint/c1"


async def test_what_is_settled_is_found_with_its_attachments(job: Job) -> None:
    """Nothing is there before; afterwards the record and every attachment are."""
    before = await journal.recorded(job.store, REF)
    batch = job.store.batch()
    log = batch.blob(b"log")
    tree = journal.entry(batch, b"record", {"log": log, "output": log})
    await batch.write()
    await journal.settle(job.store, tree, REF, RefUpdate(OTHER, job.base, None))

    assert before is None
    assert await journal.recorded(job.store, REF) == b"record"
    assert await job.store.get_blob(f"{REF}:log") == b"log"
    assert await job.store.resolve(OTHER) == job.base


async def test_the_first_outcome_is_kept(job: Job) -> None:
    """A second outcome under the same id is refused, and moves none of its references."""
    batch = job.store.batch()
    first, second = journal.entry(batch, b"first", {}), journal.entry(batch, b"second", {})
    await batch.write()
    await journal.settle(job.store, first, REF)

    with pytest.raises(RefConflict):
        await journal.settle(job.store, second, REF, RefUpdate(OTHER, job.base, None))

    assert await journal.recorded(job.store, REF) == b"first"
    assert await job.store.resolve(OTHER) is None
