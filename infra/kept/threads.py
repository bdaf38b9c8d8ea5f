"""The runs of a thread, as the store keeps them."""

from collections.abc import Sequence

from contracts.request import RequestEnded
from contracts.threads import PastRun
from domain import ids, threads
from infra.store import Store, records


async def note_member(store: Store, request_key: str, thread: str) -> None:
    """Note of which thread a request is a run: the key of the thread's first request."""
    await records.write_text(store, ids.thread_ref(request_key), thread)


async def past_runs(store: Store, thread: str, *, but: str = "") -> Sequence[PastRun]:
    """Return the runs of a thread that have ended, in the order in which they began."""
    keys = [key for key in (thread, *await _members(store, thread)) if key != but]
    begun = {key: await records.read_time(store, ids.began_ref(key)) or 0 for key in keys}
    found = []
    for key in sorted(begun, key=lambda each: (begun[each], each != thread)):
        ended = await records.read(store, ids.ended_ref(key), RequestEnded)
        if ended is not None and store.ref(ids.open_ref(key)) is None:
            found.append(threads.past_run(ended.status))
    return found


async def _members(store: Store, thread: str) -> list[str]:
    form = "--format=%(refname)"
    listed = await store.run("for-each-ref", form, ids.thread_ref("*"), reads=True)
    keys = [ref.split("/")[2] for ref in listed.out.decode().split("\n") if ref]
    return [key for key in keys if await records.read_text(store, ids.thread_ref(key)) == thread]
