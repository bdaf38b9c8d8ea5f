"""The commits of a conversation's turns, in its log or put aside beside it."""

from domain import ids
from infra.store import Store


async def new_commits(store: Store, conversation: str, known: set[str]) -> list[str]:
    """Return the commits of the turns that are not known yet, and note them as known.

    Also those that were put aside: a reply that was discarded is paid for.
    """
    ends = [store.ref(ids.conversation_ref(conversation))]
    ends += (await store.refs(ids.abandoned_refs(conversation))).values()
    return [commit for end in ends if end for commit in await _until_known(store, end, known)]


async def _until_known(store: Store, end: str, known: set[str]) -> list[str]:
    """Return the commits of turns from one back to one that is known; the root is none."""
    commits = []
    at = end
    while at not in known and (parents := (await store.get_commit(at)).parents):
        known.add(at)
        commits.append(at)
        at = parents[0]
    return commits
