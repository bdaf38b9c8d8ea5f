"""Which landed lines a patch undoes, and which it only moves or extends."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.review import UndoneKind
from domain.review.landed_lines import (
    ChangedLine,
    LandedLine,
    copies,
    restored,
    undone,
)


def landed(*texts: str, task: str = "one", path: str = "a.py") -> list[LandedLine]:
    """Lines that a task landed in a file."""
    return [LandedLine(task, path, text) for text in texts]


def test_a_removed_line_of_a_landed_task_is_named_with_its_task_and_file() -> None:
    """All lines of one task and file are one entry; the first are shown."""
    (found,) = undone(landed("def total():", "    return 1"), added=["x = 1"])

    assert (found.task, found.path, found.kind, found.count) == (
        "one", "a.py", UndoneKind.REMOVES, 2,
    )  # fmt: skip
    assert found.lines == ("def total():", "return 1")


@pytest.mark.parametrize(
    ("removed", "added"),
    [
        pytest.param("    total = 1", "        total = 1", id="indented otherwise"),
        pytest.param("def f(a, b):", "def f(a, b, c):", id="one word more"),
        pytest.param("x = [1, 2, 3]", "x = [1, 2, 3, 4]", id="extended"),
        pytest.param("", "", id="blank"),
        pytest.param("    }", "", id="a bracket"),
    ],
)
def test_a_line_that_is_moved_or_extended_is_kept(removed: str, added: str) -> None:
    """It is in the patch all the same, or it was nobody's work."""
    assert undone(landed(removed), added=[added]) == ()


def test_a_short_line_is_not_kept_by_one_that_resembles_it() -> None:
    """`return x` is not part of `return x + y`."""
    (found,) = undone(landed("return x"), added=["return x + y"])

    assert found.count == 1


def test_one_added_line_keeps_one_removed_line() -> None:
    """Two equal lines of which one is added again: one is gone."""
    (found,) = undone(landed("return None", "return None"), added=["return None"])

    assert found.count == 1


def test_a_line_that_a_task_removed_and_a_patch_brings_back_is_restored() -> None:
    """That the patch adds it is what is wrong with it."""
    back = LandedLine("one", "a.py", "import os", restored=True)
    (found,) = undone([back], added=["import os"])

    assert (found.kind, found.lines) == (UndoneKind.RESTORES, ("import os",))


def at(place: int, *texts: str) -> list[ChangedLine]:
    """Lines that one content has and the other would have at a place."""
    return [ChangedLine(text, number, (place, place)) for number, text in enumerate(texts, start=1)]


def test_only_a_line_that_is_gone_comes_back() -> None:
    """One that landed work only moved within the file may be added again; each comes back once."""
    removed = at(5, "import os", "return None", "x = 1")

    back = restored(removed, ["return None"], at(5, "return None", "import os", "import os"))

    assert back == ["import os"]


def test_a_line_that_landed_work_extended_is_not_gone() -> None:
    """A resolution that has the old line beside the longer one undoes nothing."""
    removed, kept = at(5, "from typing import Any"), ["from typing import Any, Callable"]

    assert restored(removed, kept, at(5, "from typing import Any")) == []


def test_an_equal_line_in_another_place_is_no_line_that_comes_back() -> None:
    """A new function may have a line that landed work removed from another one."""
    removed = at(5, "    return result.value")

    assert restored(removed, [], at(90, "    return result.value")) == []
    assert restored(removed, [], at(6, "    return result.value")) == ["    return result.value"]


def test_a_copy_is_landed_work_and_a_moved_line_is_not() -> None:
    """Each line that landed work removed excuses one equal line that it added, however indented."""
    lines = landed("    walk(path)", "    walk(path)")

    assert copies(lines, []) == lines
    assert copies(lines, ["walk(path)"]) == lines[1:]
    assert copies(lines, ["walk(path)", "        walk(path)"]) == []


@given(st.lists(st.text(alphabet="abc (){}\n", max_size=12)))
def test_what_a_patch_adds_again_is_never_undone(texts: list[str]) -> None:
    """A patch that adds every removed line undoes nothing."""
    assert undone(landed(*texts), added=texts) == ()
