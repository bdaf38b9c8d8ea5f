"""The tree of a merge that conflicts, as an agent gets it: labelled, without invented names."""

from collections.abc import Mapping

from domain.review.conflicts import invented
from infra.store import trees
from infra.store.merges import Conflicted
from infra.store.store import Store

_MARKERS = (b"<<<<<<< ", b">>>>>>> ", b"||||||| ")


async def labelled(store: Store, merged: Conflicted, labels: Mapping[str, str]) -> str:
    """Return the tree of a merge with labels in its conflict markers, by commit id.

    Files under names that git invented are left out: their content is in the commit they are of.
    """
    named = {commit.encode(): label.encode() for commit, label in labels.items()}
    changed: dict[str, trees.Entry | None] = {}
    for path in merged.paths:
        entry = await store.entry_at(merged.tree, path)
        if entry is None or not entry.mode.startswith("100"):
            continue
        data = await store.get_blob(entry.oid)
        told = b"\n".join(_line(line, named) for line in data.split(b"\n"))
        if told != data:
            changed[path] = (entry.mode, await store.put_blob(told))
    changed |= {name: None for each in merged.conflicts if (name := invented(each))}
    return await trees.with_paths(store, merged.tree, changed) if changed else merged.tree


def _line(line: bytes, labels: Mapping[bytes, bytes]) -> bytes:
    """Return a line with its label, when it is a marker that names one of the commits."""
    marker, rest = line[:8], line[8:]
    commit, colon, path = rest.rstrip(b"\r").partition(b":")
    if marker not in _MARKERS or commit not in labels:
        return line
    return marker + labels[commit] + colon + path + rest[len(rest.rstrip(b"\r")) :]
