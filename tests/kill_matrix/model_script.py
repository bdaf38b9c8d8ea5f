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
    finish,
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
FAILS = "matrix-fails"
"""So begin those of requests whose last task fails at the first attempt."""
MARK = "OC_KILL_MATRIX"
"""In the environment of every process of a coder's command."""
FILES = {"README.md": "Four trees.\n", **{f"{name}.txt": f"old {name}\n" for name in TASKS}}
CHECKS = ("test $(cat *.txt | grep -c -e old -e new) -eq 4",)
GROWN = ("leaves", "roots")
"""Files that the fresh tasks of a goal's rounds write, one each, after the round of the four."""
GOAL = "; ".join(
    (
        *(f"test -s {name}.txt || {{ echo FAILED wood.py::{name}; red=1; }}" for name in GROWN),
        "sleep 0.2; exit ${red:-0}",
    )
)
"""A command that names the files that are missing."""
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


def _goes_on(name: str) -> Json:
    """Return the cast of a coder that begins a task anew, on what the one before has left."""
    line = (
        f"export {MARK}=1; sed -i s/old/new/ {name}.txt; "
        f"test -s {name}.log || echo grown >> {name}.log; echo '# {name}' > {name}.md"
    )
    match = {"role": "coder", "request": f"request/{NAME}*", "task": name, "agent": "*/retry-*"}
    turns = (turn(command(line), delay_ms=80), *(done(delay_ms=50) for _ in range(1 + _REWORKS)))
    return {"match": match, "turns": [*turns]}


def _gives_up(name: str) -> Json:
    """Return the cast of a coder that gives up half-way, so that its task fails."""
    gives_up = turn(finish(summary="Not done.", blocked="the wood is wet"), delay_ms=80)
    first = f"request/{FAILS}-[0-9][0-9][0-9]/task/*"
    match = {"role": "coder", "request": f"request/{FAILS}*", "task": name, "agent": first}
    return {"match": match, "turns": [*_coder(name)[:2], gives_up]}


def _round(number: int, name: str) -> Task:
    """Return the fresh task of a goal's round."""
    coder = (
        turn(create(f"{name}.txt", f"{name}\n"), delay_ms=150),
        turn(command(f"export {MARK}=1; sleep 0.3; echo grown >> {name}.txt"), delay_ms=80),
        *(done(f"{name} have grown.", delay_ms=50) for _ in range(1 + _REWORKS)),
    )
    return Task(id=f"round-{number}", coder=coder, reviewer=(approves(delay_ms=70),))


def reference() -> Json:
    """Return the script that answers every request of the matrix."""
    tasks = [_task(name) for name in TASKS]
    planner = (turn(view("."), delay_ms=50), plan_of(tasks) | {"delay_ms": 100})
    retried = [_gives_up(TASKS[-1]), *map(_goes_on, TASKS)]
    rounds = [_round(number, name) for number, name in enumerate(GROWN, 2)]
    return script([*retried, *play(NAME, *tasks, *rounds, planner=planner)])
