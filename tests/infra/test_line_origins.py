"""Which lines a change removes, and which commit they come from."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.store import Store, transport
from infra.store.line_origins import FileChange, changed_files, line_changes, origins
from tests.local_deployment import commit, git

BASE = "".join(f"line {number}\n" for number in range(1, 11))


class History:
    """Commits of a person's repository, each fetched into the store."""

    def __init__(self, folder: Path, store: Store) -> None:
        self._folder = folder
        self._store = store

    async def commit(self, **files: str | None) -> str:
        """Write files (None deletes; `__` is a slash, `_` a dot), commit, return the id."""
        for name, text in files.items():
            path = self._folder / name.replace("__", "/").replace("_", ".")
            if text is None:
                path.unlink()
            else:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
        commit(self._folder, "A change")
        await transport.fetch(self._store, self._folder, "main", "refs/oc/run/base")
        return git(self._folder, "rev-parse", "HEAD")


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[tuple[History, Store]]:
    """A repository whose base holds ten lines, and its store."""
    folder = tmp_path / "person"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "a.txt").write_text(BASE)
    commit(folder, "The base")
    async with await Store.clone(folder, tmp_path / "s.git") as store:
        yield History(folder, store), store


async def removed(store: Store, since: str, before: str, after: str) -> dict[str, dict[str, str]]:
    """Return, by file of `before`, the removed lines that came after `since`, with their commit."""
    found: dict[str, dict[str, str]] = {}
    for change in await changed_files(store, before, after):
        changed = (await line_changes(store, change.before, change.after)).removed
        lines = {line.number: line.text for line in changed}
        if change.source is None:
            continue
        by_number = await origins(store, since, before, change.source, list(lines))
        found[change.source] = {lines[number]: oid for number, oid in by_number.items()}
    return {path: lines for path, lines in found.items() if lines}


async def test_a_removed_line_is_traced_to_the_commit_that_added_it(
    history: tuple[History, Store],
) -> None:
    """Lines of the base are left out, also where they are removed by the same change."""
    made, store = history
    base = await made.commit(b_txt="b\n")
    landed = await made.commit(a_txt=BASE + "landed 1\nlanded 2\n")
    after = await made.commit(a_txt=BASE.replace("line 3\n", "") + "landed 2\n")

    assert await removed(store, base, landed, after) == {"a.txt": {"landed 1": landed}}


async def test_a_line_is_traced_through_a_move_of_its_file(history: tuple[History, Store]) -> None:
    """The file was moved by a later commit: the line is of the first; a moved base line of none."""
    made, store = history
    base = await made.commit(b_txt="b\n")
    landed = await made.commit(a_txt=BASE + "landed\n")
    moved = await made.commit(a_txt=None, src__c_txt=BASE + "landed\n")
    after = await made.commit(src__c_txt=BASE.replace("line 1\n", ""))

    assert await removed(store, base, moved, after) == {"src/c.txt": {"landed": landed}}


async def test_a_file_that_a_change_moves_is_one_change(history: tuple[History, Store]) -> None:
    """Its lines are not removed; those of a deleted file are."""
    made, store = history
    base = await made.commit(b_txt="b\n")
    landed = await made.commit(a_txt=BASE + "landed\n", b_txt="b\nnew\n")
    after = await made.commit(a_txt=None, b_txt=None, d_txt=BASE + "landed\n" + "more\n")

    changes = await changed_files(store, landed, after)
    assert [(change.source, change.path) for change in changes] == [
        ("b.txt", "b.txt"), ("a.txt", "d.txt"),
    ]  # fmt: skip
    assert await removed(store, base, landed, after) == {"b.txt": {"new": landed}}


async def test_a_binary_file_has_no_lines(history: tuple[History, Store]) -> None:
    """Neither when it changes nor when it is new or deleted."""
    _, store = history
    first = await store.put_blob(b"\0\1\n")
    second = await store.put_blob(b"\0\2\n")

    for before, after in ((first, second), (first, None), (None, second)):
        changes = await line_changes(store, before, after)
        assert (changes.removed, changes.added) == ((), ())
    text = await store.put_blob(b"one\ntwo")
    added = (await line_changes(store, None, text)).added
    assert [(line.text, line.number) for line in added] == [("one", 1), ("two", 2)]
    assert FileChange("a", None, None, text).source is None


async def test_a_changed_line_says_where_it_stands_on_both_sides(
    history: tuple[History, Store],
) -> None:
    """A removed line where the later content would have it, an added one the other way round."""
    _, store = history
    before = await store.put_blob(b"a\nb\nc\nd\n")
    after = await store.put_blob(b"a\nc\nd\ne\nf\n")

    changes = await line_changes(store, before, after)

    assert [(line.text, line.number, line.across) for line in changes.removed] == [("b", 2, (1, 1))]
    assert [(line.text, line.number, line.across) for line in changes.added] == [
        ("e", 4, (4, 4)), ("f", 5, (4, 4)),
    ]  # fmt: skip


async def test_a_copy_of_a_base_line_is_of_the_commit_that_made_it(
    history: tuple[History, Store],
) -> None:
    """Unless copies count as moves: then the base has it already."""
    made, store = history
    block = "".join(f"a long line that is copied, number {number}\n" for number in range(5))
    since = await made.commit(a_txt=BASE + block)
    landed = await made.commit(a_txt=BASE + block + BASE + block)

    numbers = range(16, 31)
    assert await origins(store, since, landed, "a.txt", numbers) == {}
    plain = await origins(store, since, landed, "a.txt", numbers, moves=False)
    assert plain == dict.fromkeys(numbers, landed)
