"""A change of a workflow's command order is seen when it is made, not when a run breaks."""

import ast
import functools
import itertools
import json
from collections.abc import Callable, Iterator

from tests.architecture import fingerprint

HELP = """
The steps of {name} changed. Runs that are open replay the old order and would stop.
- If no run can be open (not released yet), accept it: python -m tests.architecture.fingerprint
- Else guard the change with workflow.patched("<id>"), see docs/evolution.md, and record histories
  of both ways (make record). Replay of recorded histories is what proves compatibility.
"""


def test_command_order_equals_the_committed_baseline() -> None:
    """Each workflow issues its commands in the committed order."""
    baseline = json.loads(fingerprint.BASELINE.read_text("utf-8"))
    present = fingerprint.fingerprints()
    names = {*baseline, *present}
    changed = sorted(name for name in names if baseline.get(name) != present.get(name))

    assert not changed, HELP.format(name=", ".join(changed))


Steps = Callable[[ast.stmt], list[str]]
Edits = Callable[[list[ast.stmt], Steps], Iterator[list[ast.stmt]]]


def test_a_second_step_is_seen_wherever_it_is_planted() -> None:
    """Each statement that takes a step, written twice, changes the steps of its function."""
    edited, unseen = plant(twice)

    assert edited == {*fingerprint.fingerprints()}
    assert unseen == []


def test_two_steps_that_change_places_are_seen() -> None:
    """Two neighbours that take steps change the steps of their function when they are swapped."""
    edited, unseen = plant(swapped)

    assert len(edited) > 20
    assert unseen == []


def test_what_gives_the_server_nothing_is_no_step() -> None:
    """A decorator's call, and waiting for a task of one's own, are no steps."""
    code = """
@workflow.signal(description="a")
async def heard() -> None:
    await asyncio.shield(task)
"""
    assert fingerprint.Reader({"module": ast.parse(code)}).all() == {}


def plant(edits: Edits) -> tuple[set[str], list[str]]:
    """Edit each list of statements in the workflows, one edit at a time.

    Returns:
        The functions that were edited, and what was edited without being seen.
    """
    modules = fingerprint.parsed()
    reader = fingerprint.Reader(modules)
    edited, unseen = set[str](), list[str]()
    for module, tree in modules.items():
        for owner, function in fingerprint.functions(tree):
            steps = functools.partial(reader.steps, owner=owner)
            before = steps(function)
            for block in blocks(function):
                kept = list(block)
                for changed in edits(kept, steps):
                    block[:] = changed
                    edited.add(f"{module}:{owner}{function.name}")
                    unseen += [ast.unparse(block)] if steps(function) == before else []  # type: ignore[arg-type]
                block[:] = kept
    return edited, unseen


def blocks(function: fingerprint.Function) -> list[list[ast.stmt]]:
    """Every list of statements in a function."""
    lists = [
        getattr(node, field, None)
        for node in ast.walk(function)
        for field in ("body", "orelse", "finalbody")
    ]
    return [each for each in lists if isinstance(each, list)]


def twice(block: list[ast.stmt], steps: Steps) -> Iterator[list[ast.stmt]]:
    """The block with one statement that takes a step written twice, for each such statement."""
    for place, statement in enumerate(block):
        if steps(statement):
            yield [*block[:place], statement, *block[place:]]


def swapped(block: list[ast.stmt], steps: Steps) -> Iterator[list[ast.stmt]]:
    """The block with two neighbours that take steps swapped, for each such pair."""
    for place, (one, two) in enumerate(itertools.pairwise(block)):
        if steps(one) and steps(two):
            yield [*block[:place], two, one, *block[place + 2 :]]
