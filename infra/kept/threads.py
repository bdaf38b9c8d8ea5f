"""The runs of a thread, as the store keeps them."""

from collections.abc import Sequence

from contracts import roles
from contracts.request import RequestEnded
from contracts.spending import AgentOpened
from contracts.task import TaskState, TaskStatus
from contracts.threads import PastRun
from contracts.tools import CoderFinish
from domain import ids, threads
from domain.handoff.thread import TaskWork, run_ledger
from infra.kept.agents import agents
from infra.kept.changes import last_state
from infra.kept.ledger import past_work
from infra.store import ObjectMissing, Store, StoreError, diffs, records

_WITH_LEDGER = 5
"""Of so many runs, the newest, the ledger is told."""
_TASKS = 20


async def note_member(store: Store, request_key: str, thread: str) -> None:
    """Note of which thread a request is a run: the key of the thread's first request."""
    await records.write_text(store, ids.thread_ref(request_key), thread)


async def past_runs(
    store: Store, thread: str, *, but: str = "", ledgers: bool = True
) -> Sequence[PastRun]:
    """Return the runs of a thread that have ended, in the order in which they began."""
    keys = [key for key in (thread, *await _members(store, thread)) if key != but]
    begun = {key: await records.read_time(store, ids.began_ref(key)) or 0 for key in keys}
    ended = []
    for key in sorted(begun, key=lambda each: (begun[each], each != thread)):
        found = await records.read(store, ids.ended_ref(key), RequestEnded)
        if found is not None and store.ref(ids.open_ref(key)) is None:
            ended.append((key, found))
    newest = {key for key, _ in ended[-_WITH_LEDGER:]} if ledgers else set()
    return [
        threads.past_run(run.status, await _ledger(store, key, run) if key in newest else "")
        for key, run in ended
    ]


async def _ledger(store: Store, key: str, ended: RequestEnded) -> str:
    opened = await agents(store, key)
    rows = ended.status.tasks[:_TASKS]
    works = [await _work(store, key, row, ended, opened) for row in rows]
    return run_ledger(ended, [work for work in works if work])


async def _work(
    store: Store, key: str, row: TaskStatus, ended: RequestEnded, opened: Sequence[AgentOpened]
) -> TaskWork | None:
    """Return what is kept of the work on a task; None of one without any, or that is damaged."""
    own = [each for each in opened if each.task == row.id]
    coder = next((each for each in reversed(own) if each.role == roles.CODER), None)
    if coder is None:
        return None
    try:
        work = await past_work(store, key, coder)
        if work is None:
            return None
        finish = CoderFinish.model_validate_json(work.finish) if work.finish else None
        changed = await _undelivered(store, key, row, ended, own)
    except (ObjectMissing, StoreError, ValueError):
        # A follow-up goes on all the same; what the run came to is told by its status.
        return None
    return TaskWork(row.id, work.ledger, finish.summary if finish else work.says, changed)


async def _undelivered(
    store: Store, key: str, row: TaskStatus, ended: RequestEnded, own: Sequence[AgentOpened]
) -> tuple[str, ...]:
    """Return the paths that a task which is not done had changed."""
    base = store.ref(ids.base_ref(key))
    state = None if row.state is TaskState.DONE else await last_state(store, key, row.id, own)
    if base is None or state is None or state[0] is None:
        return ()
    since = ended.status.commit or base
    return tuple(each.path for each in await diffs.changes(store, since, state[0]))


async def _members(store: Store, thread: str) -> list[str]:
    form = "--format=%(refname)"
    listed = await store.run("for-each-ref", form, ids.thread_ref("*"), reads=True)
    keys = [ref.split("/")[2] for ref in listed.out.decode().split("\n") if ref]
    return [key for key in keys if await records.read_text(store, ids.thread_ref(key)) == thread]
