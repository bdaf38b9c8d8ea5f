"""The model: what an agent of a seed replies, as a pure function of its conversation so far."""

import json
import random
import re
from dataclasses import dataclass, replace

from contracts import roles
from contracts.model import ModelCall
from domain.agent.inputs import PLANNER
from tests.fakes.model import ScriptedReply as Reply
from tests.fakes.model import ScriptedUse as Use
from tests.fakes.model import agent_header
from tests.simulation import oddities
from tests.simulation.scenario import Scenario

SHARED = "shared"
PROTECTED = ".vscode/tasks.json"
AGAIN = "-again"
"""So ends the id of a task in place of a stuck one, which does the work of that."""
_UNDONE = re.compile(r"^  - (t\d+ \d+)$", re.MULTILINE)
"""A landed line that a patch removes, as its agent is told."""


@dataclass(frozen=True)
class Log:
    """What a conversation remembers of its present round.

    Attributes:
        attempt: the round; a new one begins with the message that asks for it.
        works: turns with tool calls in this round.
        message: what the round began with.
    """

    attempt: int = 0
    works: int = 0
    message: str = ""


def reply(scenario: Scenario, call: ModelCall, log: Log, *, chance: random.Random) -> Reply:
    """Return the reply of an agent; `chance` is seeded with the turn."""
    header = agent_header(call)
    manners = scenario.manners
    if chance.random() < manners.flawed:
        return _flawed(chance)
    if chance.random() < manners.refusal:
        return Reply("refusal", says="I would rather not.")
    if 0 < scenario.oddities.strange > chance.random():
        return oddities.strange(header["role"], header["task"], chance=chance)
    match header["role"]:
        case roles.PLANNER if header["task"] != PLANNER:
            return _replan(scenario, header["task"])
        case roles.PLANNER:
            return _plan(scenario, int(header["attempt"]))
        case roles.CODER:
            return _code(scenario, header["task"], log, chance=chance)
        case _:
            return _review(scenario, header["task"], chance=chance)


def round_of(call: ModelCall, log: Log) -> Log:
    """Return the log as the present round sees it."""
    attempt = int(agent_header(call)["attempt"])
    if log.attempt != attempt:
        return Log(attempt=attempt, message=call.message or "")
    return log


def after(log: Log, made: Reply) -> Log:
    """Return the log with a reply."""
    return log if made.discarded else replace(log, works=log.works + bool(made.uses))


def _flawed(chance: random.Random) -> Reply:
    bad_call = Use("edit", "?", "{}", problem="the arguments are not JSON")
    unknown = Use("teleport", "home", "{}", problem="there is no such tool")
    reading = Use("view", "README", "{}")
    return chance.choice(
        (
            Reply("max_tokens"),
            Reply("end_turn", says="Done, I think."),
            Reply("pause_turn"),
            Reply("tool_use", (bad_call,)),
            Reply("tool_use", (unknown, reading)),
            Reply("tool_use", (reading, Use("finish", "all done", "{}"))),
            Reply("something_new"),
            Reply("model_context_window_exceeded"),
        )
        if chance.random() < 0.2
        else (Reply("end_turn"), Reply("tool_use", (bad_call, reading)), Reply("pause_turn"))
    )


def _finish(value: dict[str, object]) -> Reply:
    text = json.dumps(value)
    return Reply("tool_use", (Use("finish", str(value.get("summary", "")), text),), finish=text)


def _plan(scenario: Scenario, attempt: int) -> Reply:
    tasks = [dict(task) for task in scenario.tasks]
    flaw = scenario.plan_flaw if attempt == 1 or scenario.plan_flaw == "never" else ""
    if flaw == "prose":
        return Reply("tool_use", (Use("finish", "", "{}"),), finish='"First, we think."')
    if flaw:
        tasks[0]["depends_on"] = [tasks[-1]["id"]]
        tasks[-1]["depends_on"] = [tasks[0]["id"]]
    return _finish({"summary": "A plan.", "tasks": tasks})


def _replan(scenario: Scenario, task: str) -> Reply:
    """Return one task in place of a stuck one, or that there is none."""
    spec = next((each for each in scenario.tasks if each["id"] == task), None)
    if scenario.oddities.no_way or spec is None:
        return _finish({"summary": "No.", "answer": "There is no better way."})
    again = {**spec, "id": f"{task}{AGAIN}", "depends_on": []}
    return _finish({"summary": "Another way.", "tasks": [again]})


def _code(scenario: Scenario, task: str, log: Log, *, chance: random.Random) -> Reply:
    manners = scenario.manners
    if task in scenario.oddities.circles:
        return Reply("tool_use", (Use("run_command", "make", json.dumps({"command": "make"})),))
    task = task.removesuffix(AGAIN)
    spec = next((each for each in scenario.tasks if each["id"] == task), None)
    reads_only = spec is not None and not spec["writes"]
    # What a round is about is decided once for all its turns.
    whole = random.Random(f"{scenario.seed} {task} {log.attempt}")
    wanted = 0 if reads_only else whole.randint(1, manners.turns)
    good = "bad" if whole.random() < manners.bad / log.attempt else "good"
    stray = whole.random() < manners.stray
    guarded = whole.random() < manners.protected
    drops = random.Random(f"{scenario.seed} drops {task} {log.attempt}")
    replaces = drops.random() < manners.drops
    unusual = oddities.ends(scenario, task, log.attempt, works=log.works, wanted=wanted)
    if unusual is not None:
        return _finish(unusual)
    if log.works >= wanted and whole.random() > 0.02:
        reason = {"undoes": "it has to go"} if drops.random() < 0.6 else {}
        return _finish({"summary": f"did {task}", "commit_title": f"Do {task}", **reason})
    uses: list[Use] = []
    if chance.random() < 0.3:
        uses.append(Use("view", f"{task}/main", "{}"))
    uses.append(_edit(f"{task}/main", f"{good} {log.attempt}"))
    if log.works == 0 and (stray or "conflict markers" in log.message):
        own = f"{task} {log.attempt}"
        uses.append(_edit(SHARED, own) if replaces else _line(SHARED, own))
    if log.works == 0 and not replaces:
        # What the system says is undone is put back.
        uses += [_line(SHARED, line) for line in _UNDONE.findall(log.message)]
    if log.works == 0:
        uses += [_edit(path, f"good {task}") for path in oddities.granted(log.message)]
    if log.works == 0 and guarded:
        uses.append(_edit(PROTECTED, task))
    if chance.random() < 0.2:
        uses.append(Use("run_command", "make", json.dumps({"command": "make"})))
    return Reply("tool_use", tuple(uses))


def _edit(path: str, content: str) -> Use:
    return Use("edit", path, json.dumps({"path": path, "content": content}))


def _line(path: str, line: str) -> Use:
    return Use("edit", path, json.dumps({"path": path, "line": line}))


def _review(scenario: Scenario, task: str, *, chance: random.Random) -> Reply:
    manners = scenario.manners
    draw = chance.random()
    finding = {"priority": 1, "title": "wrong", "detail": "see", "path": f"{task}/main"}
    if draw < manners.revise:
        return _finish({"verdict": "revise", "summary": "not yet", "findings": [finding]})
    if draw < manners.revise + manners.reject:
        return _finish({"verdict": "reject", "summary": "no", "findings": []})
    remark = {**finding, "title": "terse", "priority": 3}
    undoing = {"undoing": "it is asked for"} if 0 < manners.drops > chance.random() else {}
    return _finish(
        {
            "verdict": "approve",
            "summary": "fine",
            "findings": [remark],
            "earlier": _settled(chance) if chance.random() < 0.8 else [],
            **undoing,
        }
    )


def _settled(chance: random.Random) -> list[dict[str, str]]:
    """Return a reviewer's answers to earlier findings, whether there are any or not."""
    states = ("resolved", "resolved", "overruled", "open")
    return [
        {"finding": f"F{number}", "state": chance.choice(states), "reason": "seen"}
        for number in range(1, 5)
    ]
