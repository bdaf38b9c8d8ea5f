"""What the files of a commit define, parsed in a process of its own and kept by content."""

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest

from domain.memory.symbols import TaskWords
from infra.git.process_group import start
from infra.symbols import index, parsers
from infra.symbols.__main__ import symbols
from infra.symbols.index import SUFFIXES, SymbolIndex
from tests.infra.bench import Job

LANGUAGES = {
    "py": ("LIMIT A run", """
LIMIT = 3
class A(B):
    def run(self):
        local = 2
"""),
    "js": ("LIMIT A run f g h", """
const LIMIT = 3
class A {
  run(x) { const local = 2 }
}
const f = (x) => x
function g() {}
exports.h = function () {}
"""),
    "ts": ("A B C E run f", """
export interface A { x: number }
type B = A
enum C { D }
abstract class E {
  abstract run(): void
}
export const f = (x: number): number => x
"""),
    "tsx": ("View", "function View() { return <p>x</p> }"),
    "go": ("Limit A Run New", """
package a
const Limit = 3
type A struct{}
func (a *A) Run(x int) error { return nil }
func New() *A { return nil }
"""),
    "rs": ("A B D run X", """
pub struct A;
enum B { C }
trait D {}
impl D for A {
    fn run(&self) { let local = 2; }
}
const X: u8 = 1;
"""),
    "java": ("A B C E sum", """
interface A {}
record B(int x) {}
enum C { D }
class E {
  int sum(int a) { return a; }
}
"""),
}  # fmt: skip


@pytest.mark.parametrize("suffix", sorted(LANGUAGES))
def test_definitions_of_each_language_are_found(suffix: str) -> None:
    """In the order of their lines, one a line; local names are none."""
    names, source = LANGUAGES[suffix]
    found = symbols(suffix, source.encode())["definitions"]

    assert [name for name, _, _ in found] == names.split()
    lines = source.split("\n")
    assert all(lines[line - 1].strip().startswith(text[:10]) for _, line, text in found)


def test_a_definition_is_shown_to_the_end_of_its_parameters() -> None:
    """However many lines it takes; without the brace that opens its body, and not for ever."""
    source = b"class E {\n  int sum(int a,\n      int b) {\n    return a;\n  }\n}\n"
    long = b"def f(" + b",\n".join(b"parameter_%d" % number for number in range(50)) + b"):\n  x\n"

    assert [text for *_, text in symbols("java", source)["definitions"]] == [
        "class E",
        "int sum(int a, int b)",
    ]
    assert len(symbols("py", long)["definitions"][0][2]) == 120


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
@pytest.mark.parametrize("data", [b"", b"\0\xff\n" * 40, b"(" * 5_000, b"class \xff(\ndef"])
def test_no_content_ends_the_parser(suffix: str, data: bytes) -> None:
    """Whatever a file holds, there is an answer."""
    assert "names" in symbols(suffix, data)


def test_names_are_counted_as_they_stand() -> None:
    """Also those in calls, comments and types."""
    found = symbols("py", b"total(total)  # total\nxy = price\n")

    assert found["names"] == {"total": 3, "price": 1}


@pytest.fixture(name="cache")
def _cache(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "symbols"


FILES = {
    "pkg/core.py": "def compute():\n    return 1\n",
    "pkg/use.py": "from pkg.core import compute\n\n\ndef use():\n    compute()\n",
    "notes.txt": "def nothing():\n",
}


async def test_a_map_of_a_commit_tells_its_definitions(job: Job, cache: Path) -> None:
    """Files of known languages alone, what others use first."""
    commit = await job.changed(FILES)

    assert await SymbolIndex(cache).map(job.store, commit, "", 1_000) == (
        "pkg/core.py\n    1 def compute():\npkg/use.py\n    4 def use():"
    )


async def test_a_content_is_parsed_once(
    job: Job, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next map, of this or another commit, starts no parser for what was parsed before."""
    first = await SymbolIndex(cache).map(job.store, await job.changed(FILES), "", 1_000)

    async def refuse(_source: int) -> None:
        raise AssertionError("a parser was started")

    monkeypatch.setattr(parsers, "_started", refuse)
    moved = await job.changed({**FILES, "other.txt": "x\n"})
    assert await SymbolIndex(cache).map(job.store, moved, "", 1_000) == first


@pytest.mark.parametrize("damage", ["garbage", "locked", "folder"])
async def test_a_cache_that_cannot_be_used_costs_time_alone(
    job: Job, cache: Path, damage: str
) -> None:
    """The map is the same; a damaged file is put aside and filled again."""
    commit = await job.changed(FILES)
    first = await SymbolIndex(cache).map(job.store, commit, "", 1_000)
    (kept,) = cache.parent.iterdir()
    locked = sqlite3.connect(kept)
    if damage == "garbage":
        kept.write_bytes(b"no database" * 1_000)
    elif damage == "locked":
        locked.execute("BEGIN EXCLUSIVE")
    else:
        kept.unlink()
        kept.mkdir()

    assert await SymbolIndex(cache).map(job.store, commit, "", 1_000) == first
    locked.close()
    if damage == "garbage":
        assert await SymbolIndex(cache).map(job.store, commit, "", 1_000) == first
        assert kept.read_bytes()[:6] == b"SQLite"


async def test_a_parser_that_dies_or_hangs_leaves_the_rest_out(
    job: Job, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The opening is told what was parsed by then; nothing fails and no process stays."""
    commit = await job.changed(FILES)
    started = parsers._started

    async def dying(source: int) -> object:
        process = await started(source)
        process.kill()
        return process

    monkeypatch.setattr(parsers, "_started", dying)
    assert await SymbolIndex(cache).map(job.store, commit, "", 1_000) == ""
    monkeypatch.setattr(parsers, "_START_SECONDS", 0.0)
    monkeypatch.setattr(parsers, "_started", started)
    assert await SymbolIndex(cache).map(job.store, commit, "", 1_000) == ""
    monkeypatch.setattr(parsers, "_START_SECONDS", 20.0)
    # What came to nothing is not kept.
    assert "compute" in await SymbolIndex(cache).map(job.store, commit, "", 1_000)


async def test_processes_side_by_side_find_what_one_finds(
    job: Job, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File by file what the parser itself says, and the same map, whatever share each process has;
    also of an empty file, and of one whose content another one has.
    """
    files = {f"pkg/m{number}.py": source(number) for number in range(230)}
    files |= {"empty.py": "", "copy.py": files["pkg/m7.py"], "web/a.js": "function web() {}\n"}
    commit = await job.changed(files)
    monkeypatch.setattr(parsers, "_SECONDS", 60.0)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    shared = SymbolIndex(cache)
    found = {each.path: each for each in await shared.symbols(job.store, commit, TaskWords(""))}
    monkeypatch.setattr(parsers, "_PARSERS", 1)
    alone = SymbolIndex(cache.with_name("alone"))

    assert found.keys() == files.keys()
    for path, text in files.items():
        said = symbols(path.rpartition(".")[2], text.encode())
        assert [(d.name, d.line, d.text) for d in found[path].definitions] == said["definitions"]
        assert found[path].names == said["names"]
    for task in ("", "see total_7", "web"):
        made = await shared.map(job.store, commit, task, 2_000)
        assert made == await alone.map(job.store, commit, task, 2_000)
        assert made.count("\n") > 20


def source(number: int) -> str:
    """A file that defines a name and uses those of others, some of it not in ASCII."""
    uses = "\n".join(f"    total_{number * step % 230}(x)" for step in (3, 7, 11))
    return f"def total_{number}(x):\n{uses}\n    return 'ü{'x' * number}'\n"


async def test_a_parser_that_hangs_keeps_the_answers_of_the_others(
    job: Job, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was parsed by the end of the time serves, whichever process had it."""
    files = {f"m{number}.py": source(number) for number in range(60)}
    commit = await job.changed(files)
    started, silent = parsers._started, list[int]()

    async def one_silent(source: int) -> object:
        if silent:
            return await started(source)
        process = await start("sleep", "60", stdin=source, stdout=asyncio.subprocess.PIPE)
        silent.append(process.pid)
        return process

    monkeypatch.setattr(parsers, "_FILES_EACH", 30)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    monkeypatch.setattr(parsers, "_started", one_silent)
    found = await SymbolIndex(cache).symbols(job.store, commit, TaskWords(""))

    assert 0 < len(found) < len(files)
    with pytest.raises(ProcessLookupError):
        os.kill(silent[0], 0)


async def test_the_list_of_the_files_of_a_tree_is_made_once(
    job: Job, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For every commit that has it; another tree, or another limit, has another list."""
    commit = await job.changed(FILES)
    first = await SymbolIndex(cache).files(job.store, commit, 1_000)
    monkeypatch.setattr(index, "repository_map", lambda paths, _limit: f"{len(paths)} files")
    again = await job.store.put_commit(
        (await job.store.get_commit(commit)).tree, (), "again", when=1_700_000_000
    )

    assert set(FILES) <= set(first.split("\n"))
    assert await SymbolIndex(cache).files(job.store, again, 1_000) == first
    assert await SymbolIndex(cache).files(job.store, again, 900) != first
    other = await job.changed({**FILES, "more.txt": "x\n"})
    assert await SymbolIndex(cache).files(job.store, other, 1_000) != first


async def test_the_same_map_of_the_same_tree_is_made_once(
    job: Job, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for another commit with that tree; another task has another map."""
    commit = await job.changed(FILES)
    first = await SymbolIndex(cache).map(job.store, commit, "use", 1_000)
    monkeypatch.setattr(index, "symbol_map", lambda *_: "made again")
    again = await job.store.put_commit(
        (await job.store.get_commit(commit)).tree, (), "again", when=1_700_000_000
    )

    assert await SymbolIndex(cache).map(job.store, again, "use", 1_000) == first
    assert await SymbolIndex(cache).map(job.store, again, "compute", 1_000) == "made again"


async def test_a_file_that_names_what_the_task_names_is_read_first(
    job: Job, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a repository that is too large to read whole."""
    commit = await job.changed({**FILES, "deep/er/z.py": "def far_away():\n    pass\n"})
    monkeypatch.setattr(index, "_FILES", 1)

    assert await SymbolIndex(cache).map(job.store, commit, "mend far_away", 1_000) == (
        "deep/er/z.py\n    1 def far_away():"
    )


async def test_large_files_and_links_are_not_parsed(job: Job, cache: Path) -> None:
    """Generated code would crowd out what people wrote."""
    commit = await job.changed({"big.py": "def big():\n    pass\n" + "#" * (300 << 10)})

    assert await SymbolIndex(cache).symbols(job.store, commit, TaskWords("")) == []
