"""What an agent does now and then: calls as other harnesses name them, and unusual ends."""

import functools
import json
import random
import re
from types import MappingProxyType
from typing import Any

from activities.tools.registry import tools_by_name
from contracts import roles
from contracts.tools import FINISH
from domain.agent.outputs import OUTPUTS, finish_tool
from domain.tools.registry import ToolSpec, check, understood
from tests.fakes.model import ScriptedReply as Reply
from tests.fakes.model import ScriptedUse as Use
from tests.simulation.scenario import Scenario

RISKY = ".github/workflows/ci.yml"
_HANDS_IN = MappingProxyType(
    {roles.PLANNER: "plan", roles.CODER: "change", roles.REVIEWER: "review"}
)
_READS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Read", {"file_path": "README"}),
    ("Grep", {"pattern": "hello", "output_mode": "content"}),
    ("Bash", {"command": "make", "description": "Build it"}),
    ("shell", {"command": "apply_patch <<'EOF'"}),
    ("apply_patch", {"patch": "*** Begin Patch"}),
    ("MultiEdit", {"file_path": "README", "edits": "all"}),
)


def strange(role: str, task: str, *, chance: random.Random) -> Reply:
    """Return a reply that a model makes which has learned its tools elsewhere, or counts badly."""
    draw = chance.random()
    if draw < 0.2:
        return _replied(role, (FINISH, chance.choice(({}, {"summary": " "}, {"done": True}))))
    if draw < 0.5:
        return _replied(role, chance.choice(_READS))
    if role != roles.CODER or draw < 0.6:
        return _replied(role, ("Read", {"path": "README"}), ("read", {"path": "x"}), alike=True)
    # Two writes with one id, as some services number them anew in each reply.
    return _replied(role, *(_write(f"{task}/{each}") for each in ("odd", "even")), alike=True)


def _write(path: str) -> tuple[str, dict[str, Any]]:
    return "Write", {"file_path": path, "content": f"good {path}"}


def _replied(role: str, *calls: tuple[str, object], alike: bool = False) -> Reply:
    uses = tuple(
        _read(role, name, json.dumps(given), "call_0" if alike else f"call_{number}")
        for number, (name, given) in enumerate(calls)
    )
    return Reply("end_turn" if alike else "tool_use", uses)


@functools.cache
def _read(role: str, name: str, given: str, identity: str) -> Use:
    """Return a call as the product reads it."""
    tools = _tools(role)
    meant, arguments = understood(tools, name, json.loads(given))
    checked = check(tools, meant, arguments)
    if isinstance(checked, str):
        return Use(meant, "?", "{}", problem=checked, id=identity)
    return Use(meant, tools[meant].acts_on(checked), checked.model_dump_json(), id=identity)


@functools.cache
def _tools(role: str) -> dict[str, ToolSpec]:
    hands_in = OUTPUTS[_HANDS_IN.get(role, "review")]
    found = {name: tool.spec for name, tool in tools_by_name().items()}
    if role != roles.CODER:
        del found["apply_patch"], found["edit"]
    return {**found, FINISH: finish_tool(hands_in)}


def ends(
    scenario: Scenario, task: str, attempt: int, *, works: int, wanted: int
) -> dict[str, Any] | None:
    """Return what a coder hands in that ends its round in an unusual way, None for the usual.

    A round is decided once for all its turns.
    """
    manners = scenario.oddities
    chance = random.Random(f"{scenario.seed} ends {task} {attempt}")
    said = {"summary": f"looked at {task}", "commit_title": f"Look at {task}"}
    idle, unfinished, early = (chance.random() for _ in range(3))
    if works == 0 and task in manners.needless and idle < 0.9:
        return {**said, "no_change": f"{task} does so already"}
    if works == 0 and idle < manners.idle:
        return said
    if unfinished < manners.unfinished and (early < 0.3 or works >= wanted):
        return {**said, **_lacks(scenario, task, chance)}
    return None


def _lacks(scenario: Scenario, task: str, chance: random.Random) -> dict[str, Any]:
    why = {"blocked": f"{task} cannot be done as it stands"}
    draw = chance.random()
    if draw < 0.25:
        return why
    if draw < 0.5:
        spec = next((each for each in scenario.tasks if each["id"] == task), {})
        named = [*spec.get("acceptance", ()), "test nothing"]
        return {**why, "cannot_pass": [chance.choice(named)]}
    others = [f"{each['id']}/odd" for each in scenario.tasks if each["id"] != task]
    free = [f"extra/{task}.c", "README", f"tests/test_{task}"]
    wanted = [chance.choice([*free, *free, *others, RISKY, "extra/", "../outside"])]
    return {**why, "needs_paths": wanted + chance.sample(free, chance.choice((0, 0, 1)))}


_GRANTED = re.compile(r"^You may change (.+?) too:", re.MULTILINE)


def granted(message: str) -> list[str]:
    """Return the paths that an agent was granted when its round began."""
    return [path for found in _GRANTED.findall(message) for path in found.split(", ")]
