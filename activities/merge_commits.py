"""The commits that the merge queue makes: candidates and landings, their dates and authors."""

from collections.abc import Sequence

from contracts.limits import MOST_PATHS
from contracts.merge_queue import ChainLink, LandChain
from domain import ids
from domain.review.commit_message import landing_message, merge_message, task_of
from infra.store import Commit, Store, merges, records
from infra.store.merges import Conflicted, Merged

_MET = 20


async def commit_date(store: Store, request: str, base: Commit) -> int:
    """Return the date of a request's patch: when the request began, and later than the base.

    It is read from the store, so that a repeated step makes the same commit. Merges and landings
    take their dates from the patches.
    """
    after = base.author_seconds + 1
    began = await records.read_time(store, ids.began_ref(request))
    # A request that older code opened has no such note. All of its patches stay dated from their
    # base, also one that is made again: a new date would make another commit of landed work.
    return after if began is None else max(began, after)


async def commit_author(store: Store, request: str) -> str | None:
    """Return the author of a request's commits; None for one that older code opened."""
    return await records.read_text(store, ids.author_ref(request))


async def _patches(
    store: Store, commit: str, *, since: str, paths: Sequence[str] = ()
) -> list[Commit]:
    """Return the patches in a commit and not in `since`, oldest first, of these paths or of all."""
    words = (
        "rev-list",
        "--topo-order",
        "--reverse",
        "--no-merges",
        commit,
        f"^{since}",
        "--",
        *paths,
    )
    found = (await store.run("--literal-pathspecs", *words, reads=True)).text.split()
    return [await store.get_commit(each) for each in found]


async def landed_tasks(
    store: Store, tip: str, *, since: str, paths: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the tasks that landed since a commit, oldest first; only those in some paths."""
    landed = await _patches(store, tip, since=since, paths=paths)
    return tuple(dict.fromkeys(task for each in landed if (task := task_of(each.message))))[:_MET]


async def landing_commit(store: Store, request: LandChain, candidate: Commit) -> str:
    """Return the commit that puts a chain of several candidates on the tip in one step."""
    tip = await store.get_commit(request.tip)
    author = await commit_author(store, request.repository.request_key)
    message = f"Land {len(request.titles)} tasks\n\n" + "\n".join(request.titles)
    if author:
        patches = await _patches(store, candidate.oid, since=request.tip)
        message = landing_message([patch.message for patch in patches])
    return await store.put_commit(
        candidate.tree,
        (request.tip, request.candidate),
        message,
        when=max(tip.author_seconds, candidate.author_seconds) + 1,
        author=author,
    )


async def chain_link(
    store: Store, request: str, patch_id: str, commit: str, *, tip: str, top: str
) -> ChainLink:
    """Return the candidate with one more patch; a patch made on the very top is its own candidate.

    The top itself is the candidate of a patch that it holds already: one that has landed comes
    again when the server's database is older than the store.
    """
    await merges.verify_complete(store, commit, excluding=tip)
    patch = await store.get_commit(commit)
    if patch.parents[:1] == (top,):
        return ChainLink(id=patch_id, commit=commit)
    merged = await merges.merge(store, top, commit)
    base = patch.parents[0]
    if isinstance(merged, Merged):
        met = await landed_tasks(store, tip, since=base)
        above = await store.get_commit(top)
        if merged.tree == above.tree and await merges.contains(store, top, commit):
            return ChainLink(id=patch_id, commit=top, met=met)
        merge = await store.put_commit(
            merged.tree,
            (top, commit),
            await _merge_message(store, patch, above, request=request),
            when=max(patch.author_seconds, above.author_seconds) + 1,
            author=await commit_author(store, request),
        )
        return ChainLink(id=patch_id, commit=merge, met=met)
    alone = merged if top == tip else await merges.merge(store, tip, commit)
    return ChainLink(
        id=patch_id,
        conflicts=merged.paths[:MOST_PATHS],
        with_tip=isinstance(alone, Conflicted),
        met=await landed_tasks(store, tip, since=base, paths=merged.paths[:MOST_PATHS]),
    )


async def _merge_message(store: Store, patch: Commit, above: Commit, *, request: str) -> str:
    """Return a merge's message; a request that older code opened keeps the one it began with."""
    if await commit_author(store, request) is None:
        return f"Merge: {patch.message.splitlines()[0]}"
    landed = await landed_tasks(store, above.oid, since=patch.oid)
    return merge_message(patch.message, commit=patch.oid, top=above.oid, landed=landed)
