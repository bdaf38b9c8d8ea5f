"""The definitions that an agent is shown: those that its task needs first, within a limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.memory.symbols import (
    Definition,
    FileSymbols,
    TaskWords,
    is_aside,
    ranked,
    reading_order,
    symbol_map,
)

NONE = TaskWords("")


def order(files: list[FileSymbols], task: str = "") -> list[str]:
    """The names of all definitions, first what counts most."""
    return [definition.name for _, definition in ranked(files, TaskWords(task))]


def file(path: str, *defines: str, **names: int) -> FileSymbols:
    """A file that defines functions, one a line, and names others so often."""
    definitions = tuple(
        Definition(name, line, f"def {name}():") for line, name in enumerate(defines, start=1)
    )
    return FileSymbols(path, definitions, names)


def test_definitions_stand_by_file_and_line() -> None:
    """Paths in order, each definition with its line number."""
    shown = symbol_map([file("b.py", "two", "three"), file("a.py", "one")], NONE, 1_000)

    assert shown == ("a.py\n    1 def one():\nb.py\n    1 def two():\n    2 def three():")


def test_what_many_files_use_comes_before_what_none_does() -> None:
    """A name counts once for each file that uses it, more for more uses, not for its own file."""
    files = [
        file("a.py", "lonely", "used", "once", lonely=50),
        file("b.py", used=4),
        file("c.py", used=1, once=1),
    ]

    assert order(files) == ["used", "once", "lonely"]


def test_a_name_that_many_files_define_counts_less_in_each() -> None:
    """A use of `get` says little of which one is meant; names with an underscore are private."""
    files = [
        *(file(f"{name}.py", "get") for name in "abcd"),
        file("e.py", "rare", "_own"),
        file("f.py", get=4, rare=4, _own=4),
    ]

    assert order(files) == ["rare", "_own", "get", "get", "get", "get"]


@pytest.mark.parametrize(
    ("task", "first"),
    [
        ("", "popular"),
        ("Mend `parse_header`.", "parse_header"),
        ("Mend PARSE_HEADER", "parse_header"),
        ("the headers of a mail; the parse is wrong", "parse_header"),
        ("see money.py", "total"),
        ("the money is wrong", "total"),
        ("it is on the way", "popular"),
    ],
)
def test_what_the_task_names_comes_first(task: str, first: str) -> None:
    """Its names, parts of its words, and the files that it names."""
    files = [
        file("a.py", "popular"),
        file("b.py", "parse_header"),
        file("money.py", "total"),
        file("use.py", popular=4, parse_header=1, total=1),
    ]

    assert order(files, task)[0] == first


def test_tests_and_foreign_code_come_last() -> None:
    """What a test defines is used by nobody and is found by its name."""
    for path in ("tests/a.py", "src/a_test.go", "web/a.spec.ts", "vendor/x/y.go", "test_a.py"):
        assert is_aside(path), path
    for path in ("src/testing.py", "contest/a.go", "latest.py"):
        assert not is_aside(path), path
    sizes = {"tests/big.py": 900, "src/deep/er/a.py": 10, "top.py": 5, "src/named.py": 1}
    assert reading_order(sizes, TaskWords("see named.py")) == [
        "src/named.py",
        "top.py",
        "src/deep/er/a.py",
        "tests/big.py",
    ]


def test_the_names_of_code_in_a_task_are_told_from_its_words() -> None:
    """What stands in backticks, and what no word of English looks like."""
    task = TaskWords("Mend `total` and parse_header() of HttpReader, see the Header and PRICES_EU")

    assert task.names == ("total", "parse_header", "HttpReader", "PRICES_EU")
    assert reading_order({"a.py": 1, "deep/b.py": 1}, task, {"deep/b.py"})[0] == "deep/b.py"


def test_names_of_strangers_are_shown_safely() -> None:
    """Paths and lines cannot end a line or move a terminal."""
    shown = symbol_map([FileSymbols("a\n.py", (Definition("x", 1, "x\x1b[2J"),))], NONE, 1_000)

    assert shown.count("\n") == 1
    assert "\x1b" not in shown


NAMES = st.sampled_from(["get", "put", "parse", "render", "_own", "main", "Total"])
FILES = st.lists(
    st.builds(
        lambda path, defines, names: file(path, *defines, **names),
        st.sampled_from(["a.py", "src/b.py", "tests/c.py", "ü/d.py", "e.go"]),
        st.lists(NAMES, unique=True, max_size=5),
        st.dictionaries(NAMES, st.integers(1, 9), max_size=5),
    ),
    unique_by=lambda each: each.path,
    max_size=5,
)


@given(files=FILES, limit=st.integers(0, 400), task=st.sampled_from(["", "render the Total"]))
def test_a_map_keeps_its_limit_and_counts_what_it_leaves_out(
    files: list[FileSymbols], limit: int, task: str
) -> None:
    """Never more bytes than asked for; shown and left out together are all there are."""
    shown = symbol_map(files, TaskWords(task), limit)
    lines = shown.split("\n") if shown else []
    left = [line for line in lines if line.startswith("…")]
    there = sum(line.startswith("    ") for line in lines)

    assert len(shown.encode()) <= max(limit, 0)
    if shown:
        total = sum(len(each.definitions) for each in files)
        assert there + (int(left[0].split()[2]) if left else 0) == total


@given(files=FILES)
def test_a_map_does_not_depend_on_the_order_of_its_files(files: list[FileSymbols]) -> None:
    """The same files make the same map, so that a repeated attempt tells the same."""
    assert symbol_map(files, NONE, 300) == symbol_map(files[::-1], NONE, 300)
