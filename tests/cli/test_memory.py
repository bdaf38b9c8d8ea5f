"""The memory commands on a store, without server and worker."""

import io
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cli.command import run_command
from cli.command_files import split_command
from cli.context import CliContext
from cli.exit_codes import ExitCode, UsageError
from domain import ids
from domain.memory.memory import Draft, MemoryType, draft
from infra.memory.memories import Memories, Source
from infra.store import Store
from tests.activities.test_worktrees import empty_store
from tests.infra.test_memories import NOW, accepted, proposed
from tests.infra.test_recall import Talk


class Person:
    """Types memory commands in a repository and reads what they print."""

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self.folder = home, folder
        self.out = self.err = ""

    async def types(self, *words: str, folder: Path | None = None) -> str:
        """Execute a command; return what it prints."""
        out, err = io.StringIO(), io.StringIO()
        environ = {"ORCHESTCODE_HOME": str(self.home), "HOME": str(self.home)}
        context = CliContext(
            environ=environ, folder=folder or self.folder, now=time.time, user="ada",
            stdout=out, stderr=err,
        )  # fmt: skip
        name, rest = split_command(["memory", *words])
        assert await run_command(name, rest, context) == ExitCode.DELIVERED
        self.err = err.getvalue()
        return out.getvalue()

    async def tells(self, *words: str) -> Any:  # noqa: ANN401, RUF100
        """Return what a command prints as JSON."""
        return json.loads(await self.types(*words, "--json"))


@pytest.fixture(name="store")
async def _store(tmp_path: Path) -> AsyncIterator[Store]:
    """The store of a repository, where a worker would have made it."""
    async with await empty_store(tmp_path) as made:
        key = ids.repository_key(str((tmp_path / "person").resolve()))
        place = tmp_path / "home" / "stores" / f"{key}.git"
        place.parent.mkdir(parents=True)
    made.path.rename(place)
    async with await Store.open(place) as store:
        yield store


@pytest.fixture(name="person")
def _person(store: Store, tmp_path: Path) -> Person:
    return Person(tmp_path / "home", tmp_path / "person")


async def test_a_person_sees_accepts_and_forgets(store: Store, person: Person) -> None:
    """What waits stands first, with the commands for it; a beginning of a name is enough."""
    memories = Memories(store, str)
    first = await accepted(memories, 1)
    name = await proposed(memories, 2)

    listed = await person.types("list")
    assert listed.index(name) < listed.index(first)
    assert "1 memory waits for you:" in listed
    assert f"memory accept {name}" in person.err
    shown = await person.types("show", "trap-number-2")
    assert "Mind it." in shown
    assert "waits for you" in shown
    assert "request/x-1, coder of a" in shown

    await person.types("accept", "trap-number-2")
    assert "by person ada" in await person.types("show", name)
    assert [row["state"] for row in await person.tells("list")] == ["accepted", "accepted"]
    await person.types("forget", first)
    assert [row["name"] for row in await person.tells("list")] == [name]


async def test_a_rejected_memory_is_gone(store: Store, person: Person) -> None:
    """And refused when it is proposed again."""
    name = await proposed(Memories(store, str), 1)

    await person.types("reject", name)

    assert await person.types("list") == "There are no memories.\n"
    made = draft(MemoryType.PROJECT, description="Trap number 1", text="Mind it.")
    said = await Memories(store, str).propose(made, Source("r", "c"), NOW)
    assert said.fate == "refused"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("show", "none"), "There is no memory none"),
        (("accept", "none"), "Nothing waits as none"),
        (("accept", "trap-number-1"), "is accepted already"),
        (("reject", "trap-number-1"), "It is accepted; to forget it: .* memory forget"),
        (("forget", "trap-number-2"), "It waits; to reject it: .* memory reject"),
        (("show", "trap"), "Several memories begin so"),
        (("search",), "WORDS are missing"),
        (("list", "--repo", "/nowhere"), "There is no folder"),
    ],
)
async def test_what_cannot_be_done_is_said(
    store: Store, person: Person, words: tuple[str, ...], sentence: str
) -> None:
    """In a sentence that says what to do instead; nothing has changed."""
    memories = Memories(store, str)
    first, second = await accepted(memories, 1), await proposed(memories, 2)

    with pytest.raises(UsageError, match=sentence):
        await person.types(*words)

    kept = await memories.kept()
    assert kept.accepted == {first}
    assert kept.waiting == (second,)


async def test_a_repository_without_a_store_has_no_memories(tmp_path: Path) -> None:
    """The sentence names the home that was looked in."""
    (tmp_path / "other" / ".git").mkdir(parents=True)
    person = Person(tmp_path / "home", tmp_path / "other")

    with pytest.raises(UsageError, match="no request has worked on it with this ORCHESTCODE_HOME"):
        await person.types("list")


async def test_the_repository_is_that_around_the_working_directory(
    store: Store, person: Person
) -> None:
    """However deep one stands in it."""
    name = await accepted(Memories(store, str), 1)
    deep = person.folder / "a" / "b"
    deep.mkdir(parents=True)

    assert name in await person.types("list", folder=deep)


async def test_hostile_text_moves_no_cursor_and_shows_no_secret(
    store: Store, person: Person
) -> None:
    """A memory is what an agent wrote, who read what strangers wrote."""
    hostile = "\x1b[2J \u202eevil"
    text = f"{hostile} Bearer abcdefghijklmnop"
    made = Draft(MemoryType.PROJECT, f"Look {hostile}", text)
    await Memories(store, str).propose(made, Source("request/\x1b[2J", "c\u202e"), NOW)

    for said in (await person.types("list"), await person.types("show", made.name)):
        assert "\x1b" not in said
        assert "\u202e" not in said
        assert "abcdefghijklmnop" not in said


async def test_search_names_the_place_and_the_command_that_shows_it(
    store: Store, person: Person
) -> None:
    """Memories first, then turns of all requests of the repository."""
    name = await accepted(Memories(store, str), 1)
    for request in ("one", "two"):
        talk = await Talk(store, request, f"c-{request}").begin(f"A trap of {request}.")
        await talk.hear("Well.")

    lines = (await person.types("search", "trap")).splitlines()

    assert lines[0] == f"{name}: Trap number 1"
    assert sum(line.startswith(("one, coder of a, ", "two, coder of a, ")) for line in lines) == 2
    assert person.err.rstrip().endswith((" log one a", " log two a"))
    found = await person.tells("search", "trap", "--most", "1")
    assert [(hit["memory"], hit["role"]) for hit in found] == [(name, ""), ("", "coder")]
    assert await person.types("search", "quagga") == "Nothing was found.\n"
