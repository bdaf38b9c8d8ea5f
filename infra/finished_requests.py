"""What a store keeps of each request, and taking all of it away."""

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from contracts.repository import RepositoryOpened
from contracts.request import RequestEnded
from domain import ids
from infra.kept import agents as kept_agents
from infra.store import ANY, RefUpdate, Store, records

_ROOT = "refs/oc/"
_RESCUE = "refs/oc/rescue/"
_AT_ONCE = 500


@dataclass(frozen=True)
class KeptSummary:
    """One request as its store knows it.

    Attributes:
        open: the store has it as not ended.
        id: its workflow id; "" when the store does not say.
        ended: when it ended, or at least began, in seconds since 1970.
        branch: that it delivered, "" for none.
    """

    key: str
    open: bool
    id: str = ""
    repository: str = ""
    ended: float = 0.0
    branch: str = ""


async def kept_requests(store: Store) -> list[KeptSummary]:
    """Return every request of a store."""
    refs = await store.refs(_ROOT.rstrip("/"))
    bases = [name for name in refs if name.endswith("/base") and name.count("/") == 3]
    keys = [name.removeprefix(_ROOT).removesuffix("/base") for name in bases]
    return [await _summary(store, key, is_open=ids.open_ref(key) in refs) for key in keys]


async def _summary(store: Store, key: str, *, is_open: bool) -> KeptSummary:
    began = float(await records.read_time(store, ids.began_ref(key)) or 0)
    opened = await records.read(store, ids.opened_ref(key), RepositoryOpened)
    ended = await records.read(store, ids.ended_ref(key), RequestEnded)
    path = opened.path if opened else ""
    if ended is None:
        return KeptSummary(key, is_open, repository=path, ended=began)
    status = ended.status
    return KeptSummary(
        key,
        is_open,
        id=status.id,
        repository=status.repository or path,
        ended=status.since or began,
        branch=(status.branch or "") if status.commit else "",
    )


@dataclass(frozen=True)
class RequestRefs:
    """All references of one request.

    Attributes:
        work: may go in any order.
        notes: by which the others are found; they go after them, `base` last of all.
        conversations: how many it had.
    """

    work: Mapping[str, str]
    notes: Mapping[str, str]
    base: str
    conversations: int

    def __len__(self) -> int:
        """Return how many they are."""
        return len(self.work) + len(self.notes) + 1

    @property
    def tips(self) -> set[str]:
        """The objects that they hold."""
        return {*self.work.values(), *self.notes.values()}


async def request_refs(store: Store, key: str) -> RequestRefs:
    """Return the references of a request: folder, conversations, target, rescued work, costs."""
    own = await store.refs(ids.request_refs(key).rstrip("/"))
    base = ids.base_ref(key)
    work = {name: oid for name, oid in own.items() if name.startswith(f"{_ROOT}{key}/task/")}
    opened = await records.read(store, ids.opened_ref(key), RepositoryOpened)
    if opened is not None:
        target = ids.target_ref(opened.repository.target)
        work |= await store.refs(target)
    conversations = {each.conversation for each in await kept_agents.agents(store, key)}
    for each in conversations:
        for place in (ids.conversation_ref(each), ids.lost_call_refs(each)):
            work |= await store.refs(place)
        work |= await store.refs(ids.abandoned_refs(each).rstrip("/"))
    work |= await _rescued(store, key)
    work |= await store.refs(ids.spent_ref(key))
    notes = {name: oid for name, oid in own.items() if name not in work and name != base}
    return RequestRefs(work, notes, base, len(conversations))


async def _rescued(store: Store, key: str) -> dict[str, str]:
    """Return the references of what was rescued from its worktrees: the commit names the holder."""
    found = {}
    for name, oid in (await store.refs(_RESCUE.rstrip("/"))).items():
        if name.startswith(f"{_RESCUE}conv-"):
            continue
        text = (await store.get(oid)).data.decode("utf-8", "replace")
        if f"|{key}|" in text.partition("\n\n")[2]:
            found[name] = oid
    return found


async def stored_bytes(store: Store, refs: RequestRefs) -> int:
    """Return roughly what a request takes beyond its base, as its objects lie on the disk."""
    base = store.ref(refs.base)
    rows = [*sorted(refs.tips), *([f"^{base}"] if base else []), ""]
    words = ("rev-list", "--objects", "--disk-usage", "--ignore-missing", "--stdin")
    found = await store.run(*words, stdin="\n".join(rows).encode(), reads=True)
    return int(os.fsdecode(found.out).strip() or 0)


async def take_away(store: Store, refs: RequestRefs) -> None:
    """Delete the references of a request; safe to repeat, also after a kill in the middle."""
    await _delete(store, refs.work)
    await _delete(store, refs.notes)
    await _delete(store, (refs.base,))


async def _delete(store: Store, names: Iterable[str]) -> None:
    rest = list(names)
    while rest:
        now, rest = rest[:_AT_ONCE], rest[_AT_ONCE:]
        await store.update_refs(*(RefUpdate(name, None, ANY) for name in now))


async def has_open(store: Store, running: Collection[str]) -> bool:
    """Return whether a request of a store is open: by the store, or by keys that are running."""
    if await store.refs(ids.OPEN.rstrip("/")) or await store.refs(ids.CLAIMS.rstrip("/")):
        return True
    return any(store.ref(ids.base_ref(key)) for key in running)
