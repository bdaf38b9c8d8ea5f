"""From a planner's words to a valid plan, or to sentences that tell it what to change.

Validation orders what the planner left open: of two unordered tasks that may write one path, the
one given first comes first. Knows nothing of the repository; patterns are judged as patterns.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from contracts.failures import FailureKind
from contracts.planning import AddedEdge, Plan, PlanDraft, Risk, TaskSpec
from contracts.policy import PlanJudgement
from domain.planning import write_patterns
from domain.text import clip, one_line

_MOST_PROBLEMS = 12
_OF_ITS_OWN = frozenset(
    {
        FailureKind.MODEL_REQUEST,
        FailureKind.CONTEXT_FULL,
        FailureKind.MALFORMED,
        FailureKind.BUG,
    }
)
_FENCE = re.compile(r"\A\s*```[a-z]*\n(.*?)\n?```\s*\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class PlanRules:
    """The limits of a plan: tasks; patterns and commands of one task; characters of one command.

    `order_only`: an edge that is added for overlapping writes orders two tasks and no more.
    """

    tasks: int
    patterns: int
    commands: int
    command_chars: int
    order_only: bool = False


def at_most(rules: PlanRules, tasks: int) -> PlanRules:
    """Return the rules with a limit of tasks of its own; 0 = that of the rules."""
    return replace(rules, tasks=min(tasks, rules.tasks)) if tasks else rules


def parse(text: str) -> PlanDraft | PlanJudgement:
    """Return the draft that a planner's JSON text holds; a code fence around it is forgiven."""
    fenced = _FENCE.match(text)
    try:
        return PlanDraft.model_validate_json(fenced.group(1) if fenced else text)
    except ValidationError as error:
        return _problem([_sentence(each) for each in error.errors(include_url=False)])


def _problem(sentences: Sequence[str]) -> PlanJudgement:
    bounded = [one_line(each, 400) for each in sentences[:_MOST_PROBLEMS]]
    rest = len(sentences) - len(bounded)
    more = [f"There are {rest} more such problems."] if rest else []
    return PlanJudgement(problems=(*bounded, *more))


def _sentence(error: ErrorDetails) -> str:
    place = _place(error["loc"])
    match error["type"], error.get("ctx", {}):
        case "json_invalid", {"error": why}:
            return (
                f"The plan is not valid JSON ({why}): hand in one JSON object with `summary` "
                "and `tasks`."
            )
        case "missing", _:
            return f"{place} is missing: add it."
        case "string_pattern_mismatch", _:
            return (
                f"{place} is {_shown(error)}: a task id has only lower-case letters, digits and "
                "inner hyphens, at most 40 characters, for example `add-parser`."
            )
        case "too_long", {"max_length": most, "actual_length": int(count)} if place == "`tasks`":
            return _too_many(count, most)
        case (("string_too_long" | "too_long"), {"max_length": most}):
            return f"{place} is too long: keep it to at most {most}."
        case (("string_too_short" | "too_short"), _):
            return f"{place} is empty: fill it in."
        case "enum", {"expected": expected}:
            return f"{place} is {_shown(error)}: it must be {expected}."
        case _:
            return f"{place} is {_shown(error)}, which cannot be used: {error['msg']}."


def _place(location: tuple[int | str, ...]) -> str:
    steps = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return f"`{steps.removeprefix('.')}`" if steps else "The plan"


def _shown(error: ErrorDetails) -> str:
    return clip(repr(error.get("input")), 80)


def judge(output: str, rules: PlanRules) -> PlanJudgement:
    """Return the plan that a planner's output makes, or what is wrong with it."""
    draft = parse(output)
    return validate(draft, rules) if isinstance(draft, PlanDraft) else draft


def validate(draft: PlanDraft, rules: PlanRules) -> PlanJudgement:
    """Return the plan that a draft makes, or everything that is wrong with it."""
    tasks = tuple(_tidy(task) for task in draft.tasks)
    problems = [
        *_answer_problems(draft),
        *_count_problems(tasks, rules.tasks),
        *(problem for task in tasks for problem in _task_problems(task, rules)),
        *_reference_problems(tasks),
    ]
    if not problems:
        problems = list(_cycle_problems(tasks))
    if problems:
        return _problem(problems)
    added = _added_edges(tasks, order_only=rules.order_only)
    in_order = ordered(_with_edges(tasks, added))
    plan = Plan(summary=draft.summary, tasks=in_order, added=added, answer=draft.answer.strip())
    return PlanJudgement(plan=plan)


def _tidy(task: TaskSpec) -> TaskSpec:
    return task.model_copy(
        update={
            "depends_on": tuple(dict.fromkeys(task.depends_on)),
            "writes": tuple(dict.fromkeys(write_patterns.normal(each) for each in task.writes)),
            "acceptance": tuple(each.strip() for each in task.acceptance if each.strip()),
        }
    )


def _answer_problems(draft: PlanDraft) -> Iterable[str]:
    answered = bool(draft.answer.strip())
    if not draft.tasks and not answered:
        yield (
            "`tasks` is empty: add the tasks, or, where the request only asks a question and "
            "nothing has to change, give the `answer`."
        )
    if draft.tasks and answered:
        yield (
            "The plan has tasks and an `answer`: leave the answer out, or hand it in without tasks "
            "when nothing has to change."
        )


def _count_problems(tasks: Sequence[TaskSpec], most: int) -> Iterable[str]:
    if len(tasks) > most:
        yield _too_many(len(tasks), most)
    for key, count in sorted(Counter(task.id for task in tasks).items()):
        if count > 1:
            yield f"{count} tasks are called '{key}': give every task an id of its own."


def _too_many(count: int, most: int) -> str:
    return f"The plan has {count} tasks: hand in at most {most}, each a larger step."


def _task_problems(task: TaskSpec, rules: PlanRules) -> Iterable[str]:
    for pattern in task.writes[: rules.patterns]:
        if (wrong := write_patterns.refusal(pattern)) is not None:
            yield f"Task '{task.id}' writes {pattern[:80]!r}, which {wrong}."
    if len(task.writes) > rules.patterns:
        yield f"Task '{task.id}' writes more than {rules.patterns} patterns: name folders instead."
    if task.writes and not task.acceptance:
        yield (
            f"Task '{task.id}' writes but has no acceptance command: add one that exits 0 when "
            "the task is done."
        )
    if len(task.acceptance) > rules.commands:
        yield f"Task '{task.id}' has more than {rules.commands} acceptance commands: join some."
    if any(len(each) > rules.command_chars or "\0" in each for each in task.acceptance):
        yield (
            f"An acceptance command of task '{task.id}' is longer than {rules.command_chars} "
            "characters or holds a NUL: put it into a script of the repository."
        )


def _reference_problems(tasks: Sequence[TaskSpec]) -> Iterable[str]:
    known = [task.id for task in tasks]
    for task in tasks:
        for key in task.depends_on:
            if key == task.id:
                yield f"Task '{task.id}' depends on itself: remove that dependency."
            elif key not in known:
                yield (
                    f"Task '{task.id}' depends on '{key}', which is not in the plan: add that "
                    "task or remove the dependency."
                )


def _cycle_problems(tasks: Sequence[TaskSpec]) -> Iterable[str]:
    graph = {task.id: sorted(task.depends_on) for task in sorted(tasks, key=lambda task: task.id)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        path = " -> ".join(error.args[1])
        yield (
            f"Tasks wait for each other in a circle, {path} (each before the next): remove one "
            "of these dependencies."
        )


def _added_edges(tasks: Sequence[TaskSpec], *, order_only: bool) -> tuple[AddedEdge, ...]:
    reaches = [[write_patterns.reach(pattern) for pattern in task.writes] for task in tasks]
    before = _ancestors(tasks)
    added: list[AddedEdge] = []
    for j, later in enumerate(tasks):
        # The nearest first, so that a chain gets one edge per link and none that follows anyway.
        for i in reversed(range(j)):
            earlier = tasks[i]
            if earlier.id in before[later.id] or later.id in before[earlier.id]:
                continue
            for a, b in _meetings(reaches[i], reaches[j]):
                reason = _overlap(earlier.writes[a], later.writes[b])
                edge = AddedEdge(
                    before=earlier.id, after=later.id, reason=reason, order_only=order_only
                )
                added.append(edge)
                before = _ancestors(_with_edges(tasks, added))
                break
    return tuple(added)


def _meetings(
    one: Sequence[write_patterns.Reach], other: Sequence[write_patterns.Reach]
) -> Iterable[tuple[int, int]]:
    for a, first in enumerate(one):
        for b, second in enumerate(other):
            if write_patterns.meet(first, second):
                yield a, b


def overlap(one: TaskSpec, other: TaskSpec) -> str:
    """Return what two tasks both write, in a sentence; "" for nothing."""
    mine, theirs = ([write_patterns.reach(each) for each in task.writes] for task in (one, other))
    met = next(iter(_meetings(mine, theirs)), None)
    return _overlap(one.writes[met[0]], other.writes[met[1]]) if met else ""


def _overlap(mine: str, theirs: str) -> str:
    shared = f"`{mine}`" if mine == theirs else f"`{mine}` and `{theirs}`, which may overlap"
    return f"both write {shared}"


def _ancestors(tasks: Sequence[TaskSpec]) -> dict[str, frozenset[str]]:
    # For membership only: nothing ever iterates over these sets.
    found: dict[str, frozenset[str]] = {}
    for task in ordered(tasks):
        found[task.id] = frozenset(task.depends_on).union(*(found[key] for key in task.depends_on))
    return found


def _with_edges(tasks: Sequence[TaskSpec], added: Sequence[AddedEdge]) -> tuple[TaskSpec, ...]:
    return tuple(
        task.model_copy(
            update={
                "depends_on": (
                    *task.depends_on,
                    *(edge.before for edge in added if edge.after == task.id),
                )
            }
        )
        for task in tasks
    )


def ordered(tasks: Sequence[TaskSpec]) -> tuple[TaskSpec, ...]:
    """Return tasks without a circle in topological order, ties by id."""
    # Kahn's algorithm; of all tasks that could come next, the smallest id does.
    rest = sorted(tasks, key=lambda task: task.id)
    placed: dict[str, TaskSpec] = {}
    while rest:
        task = next(each for each in rest if all(key in placed for key in each.depends_on))
        placed[task.id] = task
        rest.remove(task)
    return tuple(placed.values())


def single_task(request: str, checks: tuple[str, ...], *, why: str) -> Plan:
    """Return the plan that is always possible: the whole request as one task that may write all.

    `checks` are its acceptance, and `why`, the summary, says why there is only one task. Without
    a command that tests it, a person decides on its patch.
    """
    if not checks:
        why = f"{why} (no --check was given, so a person decides on its patch)"
    words = request.strip() or "Do what the request asks."
    task = TaskSpec(
        id="task-1",
        title=one_line(words, 120) or "The request",
        goal=clip(words, 8_000),
        writes=("**",),
        acceptance=checks,
        size=40,
        risk=Risk.NORMAL if checks else Risk.HIGH,
    )
    return Plan(summary=clip(why, 2_000), tasks=(task,), fallback=True)


def can_do_without(failure: str) -> bool:
    """Return whether a planner's failure concerns its conversation alone, not every agent's."""
    return failure in _OF_ITS_OWN


def repair_message(problems: Sequence[str]) -> str:
    """Return what the planner is told when its plan cannot be used."""
    points = "\n".join(f"- {each}" for each in problems)
    return (
        f"The plan cannot be used yet:\n{points}\n"
        "Correct these points and hand in the whole plan again."
    )
