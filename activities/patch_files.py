"""What the files of a patch are, found without trusting anyone."""

import re
from collections.abc import Sequence
from dataclasses import replace

from domain.review.risk import PatchFile
from infra.store import Store
from infra.store.attributes import filters
from infra.store.diffs import PathChange
from infra.store.object_format import LINK_MODE, SUBMODULE_MODE

_TURNS = re.compile(rb"\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]")
"""U+202A to U+202E and U+2066 to U+2069 in UTF-8."""


async def patch_files(
    store: Store, tree: str, changes: Sequence[PathChange]
) -> tuple[PatchFile, ...]:
    """Return what each path is in the tree after the changes; what they delete is left out."""
    known = {change.before for change in changes}
    kept = [change for change in changes if change.status != "D"]
    files = [await _file(store, change, moved=change.after in known) for change in kept]
    passed = await filters(store, tree, [file.path for file in files])
    return tuple(replace(file, filter=passed.get(file.path, "")) for file in files)


async def _file(store: Store, change: PathChange, *, moved: bool) -> PatchFile:
    if change.mode == SUBMODULE_MODE:
        return PatchFile(path=change.path, repository=True)
    data = await store.get_blob(change.after)
    if change.mode == LINK_MODE:
        return PatchFile(path=change.path, target=data.decode("utf-8", "surrogateescape"))
    return PatchFile(
        path=change.path,
        size=len(data),
        binary=change.added_lines is None,
        moved=moved,
        misleads=_turns(data) and not await _turned_before(store, change),
    )


async def _turned_before(store: Store, change: PathChange) -> bool:
    """Return whether the file that stood there before turned the direction of reading too."""
    return change.status == "M" and _turns(await store.get_blob(change.before))


def _turns(data: bytes) -> bool:
    return b"\0" not in data and _TURNS.search(data) is not None
