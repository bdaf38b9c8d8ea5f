"""Scripts of the rehearsal server for tests, built from small parts.

A play is the casts of one request. Many plays make one script, because each answers only the
requests whose id begins with its name.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]

DEMO = Path(__file__).resolve().parent.parent / "examples" / "demo"

PASSES = "true"
"""An acceptance command that is always green."""


def view(path: str) -> Json:
    """Return a call that shows a file."""
    return {"tool": "view", "input": {"path": path}}


def create(path: str, text: str) -> Json:
    """Return a call that writes a new file."""
    return {"tool": "edit", "input": {"command": "create", "path": path, "file_text": text}}


def replace(path: str, old: str, new: str) -> Json:
    """Return a call that replaces one text in a file; the file must have been viewed before."""
    arguments = {"command": "str_replace", "path": path, "old_str": old, "new_str": new}
    return {"tool": "edit", "input": arguments}


def command(line: str, **arguments: object) -> Json:
    """Return a call that runs a command."""
    return {"tool": "run_command", "input": {"command": line, **arguments}}


def install(reason: str = "The task needs it.", **arguments: object) -> Json:
    """Return a call that asks for dependencies."""
    return {"tool": "install_dependencies", "input": {"reason": reason, **arguments}}


def finish(**arguments: object) -> Json:
    """Return a call that finishes an agent with its output."""
    return {"tool": "finish", "input": arguments}


def turn(*calls: Json, say: str = "", **more: Any) -> Json:
    """Return one reply; `more` may hold delay_ms, fault, expect, stop."""
    return {"say": say or "I go on.", "call": list(calls), **more}


def done(summary: str = "It is done.", **more: Any) -> Json:
    """Return the turn in which a coder finishes."""
    return turn(finish(summary=summary), **more)


def approves(**more: Any) -> Json:
    """Return the turn by which a reviewer approves."""
    return turn(finish(verdict="approve", summary="It does what was asked.", findings=[]), **more)


@dataclass(frozen=True)
class Task:
    """One task of a plan, and the turns of its agents.

    Attributes:
        id: of the task.
        coder: every turn of the coder, over all its rounds.
        writes: what the plan declares; empty means it only reads.
        reviewer: every turn of every review, the same in all rounds.
        risk: as the plan names it.
    """

    id: str
    coder: Sequence[Json]
    writes: Sequence[str] = ()
    depends_on: Sequence[str] = ()
    acceptance: Sequence[str] = (PASSES,)
    reviewer: Sequence[Json] = field(default_factory=lambda: (approves(),))
    risk: str = "normal"

    def spec(self) -> Json:
        """Return the task as it is in the plan."""
        return {
            "id": self.id,
            "title": f"The task {self.id}",
            "goal": f"Do what {self.id} says.",
            "depends_on": list(self.depends_on),
            "writes": list(self.writes),
            "acceptance": list(self.acceptance),
            "size": 3,
            "risk": self.risk,
        }

    def casts(self, request: str) -> list[Json]:
        """Return the casts of its agents."""
        who = {"request": request, "task": self.id}
        return [
            {"match": {"role": "coder", **who}, "turns": list(self.coder)},
            {"match": {"role": "reviewer", **who}, "turns": list(self.reviewer)},
        ]


def writes_file(name: str, path: str, text: str, **more: Any) -> Task:
    """Return a task whose coder writes one new file and is done."""
    delay = more.pop("delay_ms", 0)
    coder = (turn(create(path, text), delay_ms=delay), done(delay_ms=delay))
    return Task(id=name, coder=coder, writes=(path,), **more)


def plan_of(tasks: Sequence[Task], summary: str = "A small plan.", **more: Any) -> Json:
    """Return the planner's turn that finishes with a plan."""
    return turn(finish(summary=summary, tasks=[task.spec() for task in tasks]), **more)


def play(name: str, *tasks: Task, planner: Sequence[Json] = ()) -> list[Json]:
    """Return the casts of the requests whose id begins with `request/<name>`.

    Args:
        name: the request's text as in its id.
        tasks: of the plan.
        planner: the planner's turns; by default one with the plan.
    """
    request = f"request/{name}*"
    turns = list(planner) or [plan_of(tasks)]
    casts = [{"match": {"role": "planner", "request": request}, "turns": turns}]
    return [*casts, *(cast for task in tasks for cast in task.casts(request))]


def demo(name: str) -> list[Json]:
    """Return the casts of the demonstration for requests whose id begins with `request/<name>`."""
    written = json.loads((DEMO / "script.json").read_text(encoding="utf-8"))
    request = {"request": f"request/{name}*"}
    return [{**cast, "match": {**cast["match"], **request}} for cast in written["casts"]]


def script(*plays: Sequence[Json], **more: Any) -> Json:
    """Return one script of many plays; `more` may hold other keys of the top level.

    Raises:
        ValueError: a play's requests would be answered by one before it.
    """
    answered: list[str] = []
    for name in dict.fromkeys(str(cast["match"].get("request")) for each in plays for cast in each):
        for before in answered:
            if before.endswith("*") and name.startswith(before[:-1]):
                raise ValueError(f"the play of {name} would be answered by that of {before}")
        answered.append(name)
    return {"seed": 7, "casts": [cast for each in plays for cast in each], **more}
