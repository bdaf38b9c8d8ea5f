"""The commits of a conversation's turns, in its log or put aside beside it."""

import re

from domain import ids
from infra.store import ObjectMissing, Store, StoreError

_TURN = re.compile(r"turn \d+$")


async def new_commits(store: Store, conversation: str, known: set[str]) -> list[str]:
    """Return the commits of the turns that are not known yet, and note them as known.

    Also those that were put aside: a reply that was discarded is paid for.
    """
    ends = [store.ref(ids.conversation_ref(conversation))]
    ends += (await store.refs(ids.abandoned_refs(conversation))).values()
    found: list[str] = []
    for end in filter(None, ends):
        found += await _until_known(store, conversation, end, known)
    return found


async def _until_known(store: Store, conversation: str, end: str, known: set[str]) -> list[str]:
    """Return the commits of turns from one back to one that is known; the root is none.

    Where one is missing, those before it are found by what they say of themselves.
    """
    commits: list[str] = []
    at = end
    try:
        while at not in known and (parents := (await store.get_commit(at)).parents):
            known.add(at)
            commits.append(at)
            at = parents[0]
    except (ObjectMissing, StoreError):
        known.add(at)
        found = await longest_line(store, conversation, but=at)
        commits += [commit for commit in found if commit not in known]
        known.update(found)
    return commits


async def longest_line(store: Store, conversation: str, *, but: str = "") -> list[str]:
    """Return the longest line of readable turns of a log, the newest first, without its ref.

    It reads every commit of the store: for a log of which a commit is lost.
    """
    form = ("--batch-all-objects", "--unordered", "--batch-check=%(objecttype) %(objectname)")
    listed = (await store.run("cat-file", *form, reads=True)).out.decode().split("\n")
    after: dict[str, list[str]] = {}
    roots = []
    for row in listed:
        kind, _, oid = row.partition(" ")
        if kind != "commit" or oid == but:
            continue
        try:
            commit = await store.get_commit(oid)
        except (ObjectMissing, StoreError):
            continue
        if not commit.parents and commit.message.strip() == f"open {conversation}":
            roots.append(oid)
        elif len(commit.parents) == 1 and _TURN.match(commit.message.strip()):
            after.setdefault(commit.parents[0], []).append(oid)
    lines = [[root] for root in roots]
    longest: list[str] = []
    while lines:
        longest = lines[0]
        lines = [[*line, oid] for line in lines for oid in sorted(after.get(line[-1], ()))]
    return longest[:0:-1]
