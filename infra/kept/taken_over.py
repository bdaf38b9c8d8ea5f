"""What a person made of a task's files: brought into the store as a checkpoint of the task."""

from pathlib import Path

from contracts.base import ObjectId
from contracts.continuation import TakenOver
from domain import ids
from infra.store import ANY, RefUpdate, Store, StoreError, records, transport

_TITLE = "Taken over from a person"


class NotTakenError(Exception):
    """What the person made cannot be taken; the text is one sentence."""


async def taken_over(
    store: Store, key: str, task: str, taken: TakenOver, state: ObjectId
) -> ObjectId:
    """Return a checkpoint of a person's files that follows on `state`, the task's last one.

    It is `state` itself where the files are the same. Their author is that of the request's
    commits. Safe to repeat.

    Raises:
        NotTakenError: there is no such commit.
    """
    pin = ids.taken_ref(key, task, taken.commit)
    try:
        await transport.fetch(store, Path(taken.folder), taken.commit, pin)
    except StoreError as problem:
        raise NotTakenError(
            f"commit {taken.commit[:12]} of {taken.folder} cannot be taken in ({problem}): see "
            "whether the folder is still there, then `resume` again"
        ) from problem
    made, before = await store.get_commit(taken.commit), await store.get_commit(state)
    if made.tree == before.tree:
        return state
    when = max(made.author_seconds, before.author_seconds)
    author = await records.read_text(store, ids.author_ref(key))
    commit = await store.put_commit(made.tree, (state,), _TITLE, when=when, author=author)
    name = ids.checkpoint_ref(key, task, f"taken-{taken.commit[:12]}")
    await store.update_refs(RefUpdate(name, commit, ANY))
    return commit
