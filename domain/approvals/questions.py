"""What a person is asked about a plan, a task, a patch and a delivery. Values in, words out."""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.approvals import Approval, ApprovalKind
from contracts.base import ObjectId
from contracts.planning import Plan, TaskSpec
from contracts.policy import ReviewJudgement
from contracts.review import Patch
from contracts.setup import WantedSetup
from domain.ids import REQUEST_PREFIX, digest, hand_off_id
from domain.setup_words import lines_of
from domain.text import for_people, listing, one_line, shell_word

REVISABLE = (ApprovalKind.PLAN, ApprovalKind.REVIEW, ApprovalKind.TASK, ApprovalKind.STUCK)
"""What an agent can be asked to do again."""
_GOALS_CHARS = 2_000
"""Of the goals of all tasks together."""
_LEAST_GOAL = 60
_COMMAND_CHARS = 200


@dataclass(frozen=True)
class Asker:
    """Who gets the decision, and after how long without one it is no."""

    workflow_id: str
    deadline_seconds: int


def plan_approval(plan: Plan, expected: str = "", *, deadline_seconds: int) -> Approval:
    """Return the question that a plan puts to a person; `expected`: what it may cost."""
    room = _GOALS_CHARS // len(plan.tasks)
    cost = [expected, ""] if expected else []
    lines = [
        f"{plan.summary}",
        "",
        *cost,
        *(line for each in plan.tasks for line in _planned(each, room)),
    ]
    return Approval(
        id="plan",
        kind=ApprovalKind.PLAN,
        what=f"a plan of {len(plan.tasks)} task{'s' * (len(plan.tasks) > 1)}",
        why="the request asks for it (approve: plan)",
        detail=for_people("\n".join(lines), 3_900),
        digest=digest(plan.model_dump_json(), length=64),
        deadline_seconds=deadline_seconds,
    )


def replan_approval(task: TaskSpec, plan: Plan, *, number: int, why: str, asker: Asker) -> Approval:
    """Return the question that tasks in place of a stuck one put to a person."""
    asked = plan_approval(plan, deadline_seconds=asker.deadline_seconds)
    return asked.model_copy(
        update={
            "id": f"replan/{task.id}/{number}",
            "what": f"{asked.what} in place of {task.id}, whose agent is stuck"[:1_000],
            "why": why[:1_000],
            "asked_by": asker.workflow_id,
        }
    )


def _planned(task: TaskSpec, goal_chars: int) -> list[str]:
    """Return a planned task as a person judges it; `show` of the command line has it whole."""
    after = f" (after {', '.join(task.depends_on)})" if task.depends_on else ""
    return [
        f"- {task.id}{after}: {task.title}; writes {listing(task.writes) or 'nothing'}",
        *([f"  goal: {one_line(task.goal, goal_chars)}"] if goal_chars >= _LEAST_GOAL else []),
        *(f"  accepted by: {one_line(each, _COMMAND_CHARS)}" for each in task.acceptance),
    ]


def checks_approval(cannot_run: Sequence[str], *, deadline_seconds: int) -> Approval:
    """Return the question whether a request goes on whose checks cannot start on its base."""
    lines = (
        *cannot_run,
        "",
        "As it stands, no result can pass. No model was asked yet.",
        "approve: it goes on, as where an agent is to make or install what is missing.",
        "reject: it ends, and nothing was paid for.",
    )
    return Approval(
        id="checks",
        kind=ApprovalKind.CHECKS,
        what=f"go on although {_count(len(cannot_run), 'check')} cannot run here",
        why=cannot_run[0][:1_000],
        detail=for_people("\n".join(lines), 3_900),
        digest=digest("checks", *cannot_run, length=64),
        deadline_seconds=deadline_seconds,
    )


_HAND_OFF_SECONDS = 30 * 86_400
"""A person has their time: so long, unlike other questions, whose limit is a day by default."""


def hand_off_approval(request_id: str, task: str, checkpoint: ObjectId) -> Approval:
    """Return the question that waits while a person works on a task's files."""
    request = shell_word(request_id.removeprefix(REQUEST_PREFIX))
    return Approval(
        id=hand_off_id(task),
        kind=ApprovalKind.HAND_OFF,
        what=f"{task} is with a person, who works on its files",
        why="a person took it over",
        detail=f"`orchestcode resume {request} {shell_word(task)}` takes in what you made; "
        "approve: its agent goes on without that, from where it was; reject: the task is given up.",
        digest=digest("hand-off", task, checkpoint, length=64),
        deadline_seconds=_HAND_OFF_SECONDS,
    )


def review_approval(
    judged: ReviewJudgement,
    patch: Patch,
    *,
    asked_by: str,
    deadline_seconds: int,
    cut: str = "",
) -> Approval:
    """Return the question that a patch puts to a person; its digest is the patch's tree.

    `cut` says that its agent was cut before it was done.
    """
    detail = f"{patch.diffstat}\n\n{judged.feedback}".strip("\n")
    return Approval(
        id=judged.item.id,
        kind=ApprovalKind.REVIEW,
        what=f"the patch of {patch.task}: {patch.files} file{'s' * (patch.files != 1)}, "
        f"+{patch.added_lines} -{patch.deleted_lines}",
        why=f"{judged.why} {cut}".strip()[:1_000],
        detail=for_people(detail, 3_900),
        digest=patch.tree,
        risk=listing(patch.risks)[:1_000],
        artefact=patch.diff,
        asked_by=asked_by,
        deadline_seconds=deadline_seconds,
    )


def acceptance_approval(
    task: TaskSpec,
    commands: Sequence[str],
    patch: Patch,
    *,
    why: str,
    asker: Asker,
) -> Approval:
    """Return the question whether commands that cannot pass, as an agent says, go."""
    kind = "acceptance command" if set(commands) <= set(task.acceptance) else "command"
    what = f"drop {_count(len(commands), kind)} of {task.id}, which cannot pass"
    told = (
        "approve: the task goes on without them; reject: it fails; revise: its agent hears you.",
        *commands,
        patch.diffstat,
    )
    return _task_approval(patch, what, why, detail="\n".join(told), asker=asker)


def paths_approval(
    task: TaskSpec,
    paths: Sequence[str],
    reason: str,
    patch: Patch,
    *,
    why: str,
    asker: Asker,
) -> Approval:
    """Return the question whether a task may change more paths; `reason`: why a person decides."""
    what = f"let {task.id} also change {listing(tuple(paths))}"
    told = (
        reason,
        "approve: it may; reject: the task fails; revise: its agent hears you.",
    )
    return _task_approval(patch, what, why, detail="\n".join(told), asker=asker)


def _task_approval(patch: Patch, what: str, why: str, *, detail: str, asker: Asker) -> Approval:
    return Approval(
        id=f"task/{patch.task}/{patch.round}",
        kind=ApprovalKind.TASK,
        what=what[:1_000],
        why=f"its agent says: {why}"[:1_000],
        detail=for_people(detail, 3_900),
        digest=digest(what, why, patch.tree, length=64),
        artefact=patch.diff,
        asked_by=asker.workflow_id,
        deadline_seconds=asker.deadline_seconds,
    )


_STUCK = (
    "The system has warned it, and let it go on in a fresh window, with the fallback model where "
    "there is one.\n"
    "revise: a fresh agent begins on its files, with your hint and the ledger; approve: it begins "
    "without a hint; reject: the task is given up. `hand-off ID {task}` gives you the files to go "
    "on yourself. Without an answer the task fails."
)


def stuck_approval(
    task: TaskSpec, patch: Patch, *, why: str, tried: str, refused: str = "", asker: Asker
) -> Approval:
    """Return the question how a task goes on whose agent is stuck.

    `tried`: what it has tried; `refused`: why the planner, if asked, put no tasks in its place.
    """
    lines = (
        _STUCK.format(task=task.id),
        *([f"The planner was asked for other tasks in its place: {refused}."] if refused else []),
        *(["", tried] if tried else []),
        *(["", patch.diffstat] if patch.files else []),
    )
    return Approval(
        id=f"stuck/{task.id}/{patch.round}",
        kind=ApprovalKind.STUCK,
        what=f"say how {task.id} goes on: its agent is stuck"[:1_000],
        why=why[:1_000],
        detail=for_people("\n".join(lines), 3_900),
        digest=digest("stuck", task.id, str(patch.round), patch.tree, why, length=64),
        artefact=patch.diff,
        asked_by=asker.workflow_id,
        deadline_seconds=asker.deadline_seconds,
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def setup_approval(
    wanted: WantedSetup,
    *,
    deadline_seconds: int,
    patch: Patch | None = None,
    call: str = "",
    commit: ObjectId | None = None,
    asked_by: str | None = None,
) -> Approval:
    """Return the question whether commands may run with a network to install what a base needs.

    Of a patch that changes a lock file it shows how, and also of the call of an agent: `call` is
    `<task>/<name of the call>`, `commit` its checkpoint.
    """
    commands = lines_of(wanted)
    task = patch.task if patch else call.partition("/")[0]
    names = listing(tuple(f"`{one_line(command, 200)}`" for command in commands), most=3)
    stated = listing(wanted.rule.stated_in, most=12)
    without = "its agent hears you" if task else "the request goes on without"
    lines = (
        *(f"$ {command}" for command in commands),
        "",
        f"They run once, in the sandbox, with network, for exactly these: {stated or 'no file'}.",
        "What they install is kept for all requests that need the same, and your answer with it.",
        f"approve: they run; reject: {without}.",
        *(["", wanted.diff] if wanted.diff else []),
    )
    return Approval(
        id=f"setup/{patch.task}/{patch.round}" if patch else f"setup/{call}" if call else "setup",
        kind=ApprovalKind.SETUP,
        what=f"run the setup {names} with network{f' for {task}' if task else ''}"[:1_000],
        why=wanted.because,
        risk="commands of the repository, and of the packages they install, with network",
        detail=for_people("\n".join(lines), 3_900),
        digest=wanted.digest,
        artefact=patch.diff if patch else None,
        asked_by=asked_by,
        deadline_seconds=deadline_seconds,
        shared=wanted.same if task else "",
        commit=patch.commit if patch else commit,
    )


def delivery_approval(
    commit: ObjectId, tree_summary: str, branch: str, *, deadline_seconds: int
) -> Approval:
    """Return the question before the branch is delivered."""
    return Approval(
        id="delivery",
        kind=ApprovalKind.DELIVERY,
        what=f"deliver branch {branch}"[:1_000],
        why="the request asks for it (approve: delivery)",
        detail=for_people(tree_summary, 3_900),
        digest=commit,
        deadline_seconds=deadline_seconds,
    )
