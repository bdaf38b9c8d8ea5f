"""What the rehearsed model says to the requests of this folder: the demo's, and two plays more."""

from tests.model_scripts import Task, create, demo, done, play, script, turn, writes_file

SMALL = {"README.md": "A small thing.\n"}
BUDGET = 0.31
"""Dollars that pay for a plan, a first task and one dear turn of a second."""
_DEAR = Task(
    id="second",
    writes=("second.txt",),
    depends_on=("first",),
    coder=(turn(create("second.txt", "2\n"), usage={"output_tokens": 26_500}), done()),
)
_TAKEN = Task(
    id="work",
    writes=("a.txt", "b.txt"),
    acceptance=("test -e a.txt && test -e b.txt",),
    coder=(
        turn(create("a.txt", "a\n")),
        turn(create("b.txt", "b\n"), delay_ms=8_000),
        done(),
    ),
)
SCRIPT = script(
    play("dear", writes_file("first", "first.txt", "1\n"), _DEAR),
    play("taken", _TAKEN),
    demo(""),
)
