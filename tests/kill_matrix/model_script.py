"""The reference request: four coders at once, their reviewers, one merge of all four.

Every model call takes 50 to 150 ms and every coder runs a command that must not run twice, so that
a kill at any moment interrupts work and a repeated effect changes the delivered tree.
"""

from collections.abc import Sequence

from tests.model_scripts import (
    Json,
    Task,
    approves,
    command,
    create,
    done,
    plan_of,
    play,
    replace,
    script,
    turn,
    view,
)

TASKS = ("alder", "birch", "cedar", "dogwood")
NAME = "matrix"
"""The request ids begin with it."""
MARK = "OC_KILL_MATRIX"
"""In the environment of every process of a coder's command."""
FILES = {"README.md": "Four trees.\n", **{f"{name}.txt": f"old {name}\n" for name in TASKS}}
CHECKS = ("test $(cat *.txt | grep -c -e old -e new) -eq 4",)
_REWORKS = 4
"""How often a coder may be sent back, as when one of its checks was killed."""


def _coder(name: str) -> Sequence[Json]:
    grows = f"export {MARK}=1; sleep 0.3; echo grown >> {name}.log"
    mends = f"test -s {name}.log || echo grown >> {name}.log"
    return (
        turn(view(f"{name}.txt"), delay_ms=60),
        turn(replace(f"{name}.txt", "old", "new"), delay_ms=150),
        turn(command(grows), delay_ms=80),
        turn(command(mends), create(f"{name}.md", f"# {name}\n"), delay_ms=120),
        *(done(f"{name} has grown.", delay_ms=50) for _ in range(1 + _REWORKS)),
    )


def _task(name: str) -> Task:
    return Task(
        id=name,
        coder=_coder(name),
        writes=(f"{name}.txt", f"{name}.log", f"{name}.md"),
        acceptance=(f"grep -q new {name}.txt && sleep 0.1 && test $(wc -l < {name}.log) -eq 1",),
        reviewer=(turn(view(f"{name}.txt"), delay_ms=100), approves(delay_ms=70)),
    )


def reference() -> Json:
    """Return the script that answers every request of the matrix."""
    tasks = [_task(name) for name in TASKS]
    planner = (turn(view("."), delay_ms=50), plan_of(tasks) | {"delay_ms": 100})
    return script(play(NAME, *tasks, planner=planner))
