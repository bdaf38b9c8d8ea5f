"""The plan: a request as a graph of tasks."""

from enum import StrEnum
from typing import Final

from pydantic import Field

from contracts.base import Contract, ShortText, TaskId
from contracts.limits import MOST_TASKS

MOST_ANSWER: Final = 8_000
"""Characters of the answer to a question."""


class Risk(StrEnum):
    """How much harm a task can do, as the planner sees it."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"


class TaskSpec(Contract):
    """One node of the plan.

    Attributes:
        id: unique within the plan.
        title: one line.
        goal: what must be true when it is done, in words for the agent.
        depends_on: ids of tasks whose patches must have landed before this one starts; those of
            the plan's order-only edges must only have ended.
        writes: path patterns (fnmatch on repository paths) that the task may change; a trailing
            slash means everything below a folder. Empty means it only reads.
        acceptance: shell commands that exit 0 when the task is done; the system runs them.
        size: estimated agent turns, the weight of the critical path.
        risk: high always asks a person.
    """

    id: TaskId
    title: str = Field(min_length=1, max_length=200)
    goal: str = Field(min_length=1, max_length=8_000)
    depends_on: tuple[TaskId, ...] = ()
    writes: tuple[str, ...] = ()
    acceptance: tuple[str, ...] = ()
    size: int = Field(default=10, ge=1, le=1_000)
    risk: Risk = Risk.NORMAL


class PlanDraft(Contract):
    """What the planner hands in: not yet validated beyond its shape."""

    summary: str = Field(min_length=1, max_length=2_000)
    tasks: tuple[TaskSpec, ...] = Field(default=(), max_length=MOST_TASKS)
    answer: str = Field(
        default="",
        max_length=MOST_ANSWER,
        description="Only when the request asks a question and nothing has to change: the answer, "
        "with what shows it. Then there are no tasks.",
    )


class AddedEdge(Contract):
    """An order that the planner did not name: two tasks write the same path.

    Attributes:
        order_only: the later task starts once the earlier one has ended, however; False in
            histories from before, where the earlier one had to be done.
    """

    before: TaskId
    after: TaskId
    reason: ShortText
    order_only: bool = False


class Fork(Contract):
    """A task that goes on from a turn of another one in its own way; one of them is taken."""

    task: TaskId
    of: TaskId


class Replacement(Contract):
    """A task whose agent was stuck, and those that the planner has put in its place."""

    task: TaskId
    by: tuple[TaskId, ...]


class Plan(Contract):
    """A valid plan: unique ids, known dependencies, no cycle, no unordered writers of one path.

    Attributes:
        tasks: in topological order, ties by id.
        added: the edges that validation added; they stand in `depends_on` already.
        fallback: the request became one single task because no valid plan came.
        forks: tasks that a person has forked from others.
        replaced: tasks in whose place others stand; they stay, and nothing depends on them.
        answer: to a request that only asks a question: it has no tasks; "" of any other.
    """

    summary: str
    tasks: tuple[TaskSpec, ...]
    added: tuple[AddedEdge, ...] = ()
    fallback: bool = False
    forks: tuple[Fork, ...] = ()
    replaced: tuple[Replacement, ...] = ()
    answer: str = ""


class Claim(Contract):
    """What another task of the plan writes."""

    task: TaskId
    writes: tuple[str, ...]


class WriteScope(Contract):
    """By what the writes of a task are judged.

    Attributes:
        writes: what the task declares.
        claims: of the other tasks, but for those that ended before it started.
        asked, noted: the words by which the request, and a person's notes, name paths.
    """

    writes: tuple[str, ...]
    claims: tuple[Claim, ...] = ()
    asked: tuple[str, ...] = ()
    noted: tuple[str, ...] = ()


class Promise(Contract):
    """The commands that must go on passing once a task has landed.

    `group` names it and its forks, of which no second one lands; "" of one without any.
    """

    task: str
    commands: tuple[str, ...]
    group: str = ""
