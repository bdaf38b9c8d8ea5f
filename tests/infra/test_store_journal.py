"""The journal: a call's end under its id, once and for all."""

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


async def test_the_first_end_stands(job: Job) -> None:
    """A second end under the same id is refused, and moves nothing of what comes with it."""
    batch = job.store.batch()
    first, second = journal.entry(batch, b"first", {}), journal.entry(batch, b"second", {})
    await batch.write()
    await journal.settle(job.store, first, REF)

    with pytest.raises(RefConflict):
        await journal.settle(job.store, second, REF, RefUpdate(OTHER, job.base, None))

    assert await journal.recorded(job.store, REF) == b"first"
    assert await job.store.resolve(OTHER) is None
