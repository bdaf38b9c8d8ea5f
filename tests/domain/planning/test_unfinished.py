"""A task that cannot be done as it stands: what may be granted, what may be dropped."""

import pytest

from contracts.planning import Claim, TaskSpec
from contracts.tools import CoderFinish
from domain.planning import unfinished

TASK = TaskSpec(
    id="x", title="Do x", goal="x", writes=("a.py",), acceptance=("make test", " grep x ")
)


@pytest.mark.parametrize(
    "fields",
    [{"blocked": "no schema"}, {"cannot_pass": ("make test",)}, {"needs_paths": ("b.py",)}],
)
def test_an_agent_asks_for_something_only_when_it_says_so(fields: dict[str, object]) -> None:
    """A plain finish asks for nothing; each of the three fields does."""
    assert unfinished.asks(CoderFinish.model_validate({"summary": "s", **fields}))
    assert not unfinished.asks(CoderFinish(summary="s", blocked="  "))


@pytest.mark.parametrize(
    ("path", "owners"),
    [
        ("b.py", ("py",)),
        ("docs/guide.md", ("docs",)),
        ("lib/", ("deep",)),
        ("lib/**", ("deep",)),
        ("README.md", ()),
    ],
)
def test_a_path_belongs_to_whoever_may_write_it(path: str, owners: tuple[str, ...]) -> None:
    """A path or pattern is claimed by each task that may write something of it."""
    claims = (
        Claim(task="py", writes=("b.py",)),
        Claim(task="docs", writes=("docs/",)),
        Claim(task="deep", writes=("lib/x/y.c",)),
    )
    assert unfinished.owners((path,), claims) == owners


@pytest.mark.parametrize("path", ["/etc/passwd", "../up", ".git/config", "a\nb", ""])
def test_a_path_out_of_the_repository_cannot_be_asked_for(path: str) -> None:
    """What no plan may name no agent may ask for."""
    assert unfinished.refused((path,))
    assert unfinished.refused(("b.py",)) == ""


def test_commands_are_known_as_they_were_given() -> None:
    """A command is dropped only when it is one of the task's, blanks around it apart."""
    named = unfinished.commands(TASK, ("grep x", "make tset"))
    assert named == (" grep x ",)
    assert unfinished.without(TASK, named).task.acceptance == ("make test",)


def test_a_granted_path_stands_among_the_tasks_own() -> None:
    """What is granted is judged like a path that the plan named, and the agent is told by whom."""
    settled = unfinished.granted(
        TASK,
        ("./b.py", "a.py"),
        by="no other task writes it",
        finish=CoderFinish(summary="s", needs_paths=("./b.py",)),
    )
    assert settled.task.writes == ("a.py", "b.py")
    assert "no other task writes it" in settled.message
    assert "cannot_pass" not in settled.message


def test_an_agent_that_asks_for_two_things_is_told_what_is_still_open() -> None:
    """Paths are decided first; the commands that it named besides are not passed over silently."""
    finish = CoderFinish(summary="s", needs_paths=("b.py",), cannot_pass=("make test",))
    settled = unfinished.granted(TASK, finish.needs_paths, by="a person allows it", finish=finish)
    assert "Nothing is decided about what you named in `cannot_pass`" in settled.message
    assert settled.task.acceptance == TASK.acceptance
