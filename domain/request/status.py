"""The request on paper: reading its input, keeping its table of tasks, saying how it stands."""

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from contracts.agent import AgentLimits, Note
from contracts.approvals import ApprovalKind
from contracts.base import ObjectId
from contracts.baseline import Baseline
from contracts.checks import CheckResult
from contracts.delivery import Delivered
from contracts.endings import TaskEnding
from contracts.limits import MOST_TASKS
from contracts.planning import Plan, Promise, Risk, TaskSpec
from contracts.repository import RepositoryOpened
from contracts.request import RequestStart, RequestStatus
from contracts.settings_file import SETTINGS_FILE
from contracts.subtask import SubtaskReport, SubtaskStart
from contracts.task import TaskState, TaskStatus
from contracts.visibility import OC_KEPT, OC_REPOSITORY, OC_THREAD, Blocker, RunState
from domain import ids
from domain.agent.model_choice import chosen, in_words
from domain.approvals.inbox import ApprovalInbox
from domain.planning import forks, replan
from domain.planning.scope import ancestors, claims
from domain.scheduling import task_state as tasks
from domain.scheduling.budget import usd
from domain.scheduling.ready import TaskNode
from domain.text import NO_TEXT, is_text, listing, one_line, shell_word


@dataclass(frozen=True)
class Spent:
    """What a request has used beside its running tasks.

    Attributes:
        microusd: of the planner and of the tasks that have ended.
        unpriced_tokens: the planner's tokens whose price is not known.
    """

    microusd: int = 0
    unpriced_tokens: int = 0


def read(payload: object) -> RequestStart | str:
    """Return the request that a person typed, or what is wrong with it in one sentence."""
    if not isinstance(payload, dict):
        return 'The input must be a JSON object: {"repository": "/path", "request": "what to do"}.'
    if wrong := [one_line(str(key)) for key, value in payload.items() if not _is_text(key, value)]:
        return f"The request's input is not usable: {listing(tuple(wrong))} {NO_TEXT}."
    try:
        return RequestStart.model_validate(payload)
    except ValidationError as error:
        problems = [
            f"{one_line('.'.join(map(str, problem['loc']))) or 'input'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)[:5]
        ]
        return f"The request's input is not usable: {'; '.join(problems)}."


def with_settings(start: RequestStart, opened: RepositoryOpened) -> RequestStart:
    """Return a request with what its repository's settings say, where it says nothing itself.

    The command of its goal is one of its checks.
    """
    checks = start.checks or opened.settings_checks
    if start.until and start.until not in checks:
        checks = (*checks, start.until)
    window, lane = start.window_tokens or opened.window_tokens, start.lane or opened.lane
    return start.model_copy(update={"checks": checks, "window_tokens": window, "lane": lane})


def of_base(start: RequestStart | None, found: Baseline | None) -> dict[str, tuple[str, ...]]:
    """Return what a status tells of the checks on the base, before any work."""
    if start is None or found is None:
        return {}
    doubtful = {*found.red, *found.flaky}
    green = tuple(each for place, each in enumerate(start.checks) if place not in doubtful)
    return {"base_problems": found.problems, "base_passes": green}


def memo(start: RequestStart, opened: RepositoryOpened) -> dict[str, str]:
    """Return what a list of requests shows beside the status."""
    thread = {OC_THREAD: start.thread} if start.thread else {}
    return {OC_KEPT: salvage_command(opened), OC_REPOSITORY: start.repository, **thread}


def _is_text(*values: object) -> bool:
    return is_text(json.dumps(values, ensure_ascii=False, default=str))


def table(plan: Plan, known: Sequence[TaskStatus] = ()) -> dict[str, TaskStatus]:
    """Return the task table of a plan, in its order: the rows that are known, the rest pending."""
    rows = {row.id: row for row in known}
    return {
        task.id: rows.get(task.id)
        or TaskStatus(id=task.id, title=task.title, depends_on=task.depends_on, size=task.size)
        for task in plan.tasks
    }


def remaining(plan: Plan, rows: Sequence[TaskStatus]) -> tuple[TaskSpec, ...]:
    """Return the tasks of a plan that an attempt with these rows runs; without rows all."""
    ended = {row.id for row in rows if row.state is not TaskState.PENDING}
    return tuple(task for task in plan.tasks if task.id not in ended)


def landed_before(plan: Plan, known: Sequence[TaskStatus]) -> tuple[Promise, ...]:
    """Return what those of the known rows promised that are done."""
    done = {row.id: row for row in known if row.state is TaskState.DONE}
    return tuple(
        Promise(task=task.id, commands=commands, group=group)
        for task in plan.tasks
        if task.id in done
        and (
            (commands := tuple(c for c in task.acceptance if c not in done[task.id].dropped))
            or forks.group(plan, task.id)
        )
        for group in (forks.group(plan, task.id),)
    )


def task_nodes(plan: Plan, table: Mapping[str, TaskStatus]) -> tuple[TaskNode, ...]:
    """Return what the scheduler looks at."""
    return tuple(_node(task, plan, table) for task in plan.tasks)


def _node(task: TaskSpec, plan: Plan, table: Mapping[str, TaskStatus]) -> TaskNode:
    state, row = forks.state(plan, task.id, table), table[task.id]
    after = tuple(edge.before for edge in plan.added if edge.order_only and edge.after == task.id)
    needs = tuple(key for key in task.depends_on if key not in after)
    return TaskNode(task.id, needs, state, task.size, after, row.reason)


def reported(status: TaskStatus, report: SubtaskReport, workflow_id: str) -> TaskStatus:
    """Return a row after its subtask reported; a row that has ended stays as it is."""
    if tasks.terminal(status.state):
        return status
    return status.model_copy(
        update={
            "state": report.state,
            "reason": report.reason,
            "lane": report.lane,
            "agent": report.agent,
            "rounds": report.rounds,
            "rounds_left": report.rounds_left,
            "turns": report.turns,
            "tokens": report.tokens,
            "unpriced_tokens": report.unpriced_tokens,
            "cost_usd": usd(report.cost_microusd),
            "commit": report.landed,
            "findings": report.findings,
            "no_change": report.no_change,
            "dropped": report.dropped,
            "granted": report.granted,
            "kept": report.kept,
            "answer": report.answer,
            "left_out": report.left_out,
            "ending": report.ending,
            "workflow_id": workflow_id,
        }
    )


def launched(status: TaskStatus, workflow_id: str) -> TaskStatus:
    """Return a row whose subtask was just started."""
    state = tasks.move(status.state, TaskState.RUNNING)
    change = {"state": state, "workflow_id": workflow_id, "reason": ""}
    return status.model_copy(update=change)


def unfunded(status: TaskStatus) -> TaskStatus:
    """Return a pending row that waits for money."""
    return status.model_copy(update={"reason": "waits for money of the budget"})


def ended(
    status: TaskStatus, state: TaskState, reason: str, ending: TaskEnding | None = None
) -> TaskStatus:
    """Return a row that ended, or can never start, without a report; one that had ended stays."""
    if tasks.terminal(status.state):
        return status
    change = {"state": state, "reason": reason[:1_000], "agent": None, "ending": ending}
    return status.model_copy(update=change)


def state_of(inbox: ApprovalInbox, blockers: Sequence[Blocker]) -> tuple[RunState, str]:
    """Return how an open request stands: a person's answer first, then what else it waits for."""
    pending = inbox.pending
    if not pending and blockers:
        return blockers[0].state, blockers[0].reason
    if not pending:
        return RunState.RUNNING, ""
    what = listing(tuple(one_line(approval.what, 120) for approval in pending))
    only_reviews = all(approval.kind is ApprovalKind.REVIEW for approval in pending)
    state = RunState.WAITING_REVIEW if only_reviews else RunState.WAITING_APPROVAL
    if all(approval.kind is ApprovalKind.BUDGET for approval in pending):
        state = RunState.WAITING_BUDGET
    return state, f"waits for a person: {what}{_urgent(inbox)}"


def _urgent(inbox: ApprovalInbox) -> str:
    """Return until when something has to be answered of which a person was reminded."""
    if not inbox.urgent:
        return ""
    first = min(inbox.urgent, key=lambda each: each.until)
    until = dt.datetime.fromtimestamp(first.until, dt.UTC)
    return f"; without an answer {first.approval.id} is rejected at {until:%Y-%m-%d %H:%M} UTC"


def fetch_command(opened: RepositoryOpened, ref: str) -> str:
    """Return the command that fetches what is kept under a name into the person's repository."""
    return " ".join(map(shell_word, ("git", "-C", opened.path, "fetch", opened.store, ref)))


def _checks_asked(start: RequestStart) -> tuple[str, ...]:
    """Return what must pass, without the command of the goal: a branch that misses it comes too."""
    return tuple(check for check in start.checks if check != start.until)


def _checks_from(start: RequestStart, opened: RepositoryOpened | None) -> str:
    if opened and opened.settings_checks:
        return f"{SETTINGS_FILE} of the base"
    return "the request" if _checks_asked(start) else ""


def _with_kept(rows: tuple[TaskStatus, ...], opened: RepositoryOpened) -> tuple[TaskStatus, ...]:
    """Return the rows with how to get the last patch of each task that ended without landing."""
    return tuple(
        row.model_copy(update={"kept": fetch_command(opened, row.kept) if _lost(row) else ""})
        if row.kept
        else row
        for row in rows
    )


def _lost(row: TaskStatus) -> bool:
    return row.state in (TaskState.FAILED, TaskState.CANCELLED) and row.commit is None


def landed_command(opened: RepositoryOpened) -> str:
    """Return the command by which a person takes over what has landed, delivered or not."""
    words = ("git", "-C", opened.path, "fetch", opened.store)
    ref = f"{ids.target_ref(opened.repository.target)}:refs/heads/{opened.branch}"
    return " ".join(map(shell_word, (*words, ref)))


def salvage_command(opened: RepositoryOpened) -> str:
    """Return where a request's work is kept, however it ends: a command that lists it."""
    prefix = ids.request_refs(opened.repository.request_key)
    return f"git -C {shell_word(opened.store)} for-each-ref {prefix}"


def final_commands(
    plan: Plan, rows: Mapping[str, TaskStatus], checks: Iterable[str]
) -> tuple[str, ...]:
    """Return what must pass on the merged tree: every finished task's promises, then the checks."""
    done = [task for task in plan.tasks if rows[task.id].state is TaskState.DONE]
    promised = [
        command
        for task in done
        for command in task.acceptance
        if command not in rows[task.id].dropped
    ]
    return tuple(dict.fromkeys((*promised, *checks)))


def note(payload: object, known: Sequence[str]) -> Note | str:
    """Return the note that a person typed, or what is wrong with it."""
    if not _is_text(payload):
        return f"The note {NO_TEXT}."
    fields = {"text": payload} if isinstance(payload, str) else payload
    try:
        found = Note.model_validate(fields)
    except ValidationError:
        return 'A note is a text or {"text": "…", "task": "…"}, at most 4,000 characters.'
    if found.task is not None and found.task not in known:
        tasks = listing(tuple(known), most=MOST_TASKS) or "no plan yet"
        return f"There is no task {found.task!r}: {tasks}."
    return found


def subtask(
    start: RequestStart,
    opened: RepositoryOpened,
    plan: Plan,
    task: TaskSpec,
    *,
    request_id: str,
    allowance: int,
    notes: Sequence[Note],
    rows: Mapping[str, TaskStatus] | None = None,
    baseline: Baseline | None = None,
    landed: tuple[Promise, ...] = (),
    resumed: bool = False,
    documents: tuple[tuple[str, ObjectId], ...] = (),
) -> SubtaskStart:
    """Return the input of a task's workflow; `allowance` in microUSD."""
    repository, rivals = opened.repository, forks.rivals(plan, task.id)
    return SubtaskStart(
        request_id=request_id,
        request=start.request,
        plan_summary=plan.summary,
        repository=repository,
        task=task,
        checks=start.checks,
        human_review=ApprovalKind.REVIEW in start.approve or task.risk is Risk.HIGH or bool(rivals),
        limits=AgentLimits(budget_microusd=allowance),
        siblings=tuple(_sibling(each) for each in plan.tasks if each.id not in (task.id, *rivals)),
        baseline=baseline,
        request_limits=opened.limits,
        models=chosen(start),
        on_limit=start.on_limit,
        notes=tuple(each.text for each in notes if each.task in {None, task.id}),
        promised=_promised(plan, task.id, rows or {}),
        claims=tuple(each for each in claims(plan, task.id) if each.task not in rivals),
        earlier=rows[task.id].earlier if rows else None,
        landed=landed,
        resumed=resumed,
        documents=documents,
        group=forks.group(plan, task.id),
        lane=start.lane,
        untrusted=start.untrusted,
        replans=replan.room(plan, task.id, opened.limits) if opened.limits else 0,
        plan_review=ApprovalKind.PLAN in start.approve,
        past=opened.past,
        queue_id=ids.queue_id(repository.key, repository.target),
    )


def _promised(plan: Plan, task: str, rows: Mapping[str, TaskStatus]) -> tuple[Promise, ...]:
    """Return what the landed tasks before this one promised; their work is in its base."""
    before = ancestors(plan, task)
    return tuple(
        Promise(task=each.id, commands=each.acceptance)
        for each in plan.tasks
        if each.id in before and each.acceptance and rows[each.id].state is TaskState.DONE
    )


def _sibling(task: TaskSpec) -> str:
    after = f", after {listing(task.depends_on)}" if task.depends_on else ""
    return one_line(f"{task.id}: {task.title}; writes {listing(task.writes)}{after}", 200)


def delivery_summary(
    rows: Sequence[TaskStatus], checks: Sequence[CheckResult], diffstat: str
) -> str:
    """Return what a person should know before a branch is delivered."""
    lines = [f"{row.id}: {row.state.value} {row.reason}".rstrip() for row in rows]
    lines += [f"{'passed' if c.passed else 'FAILED'}: {c.command}" for c in checks]
    return "\n".join([*lines, *([diffstat] if diffstat else [])])


def status(
    request_id: str,
    standing: tuple[RunState, str],
    *,
    start: RequestStart | None,
    opened: RepositoryOpened | None,
    plan: Plan | None,
    rows: tuple[TaskStatus, ...],
    inbox: ApprovalInbox,
    planner: str | None,
    spent: Spent,
    checks: tuple[CheckResult, ...],
    delivered: Delivered | None,
    model: str,
) -> RequestStatus:
    """Return the status; a task that still runs counts with what it has reported."""
    state, reason = standing
    open_cost = sum(row.cost_usd for row in rows if not tasks.terminal(row.state))
    return RequestStatus(
        id=request_id,
        attempt=start.retry.attempt if start and start.retry else 1,
        state=state,
        reason=reason[:2_000],
        request=start.request if start else "",
        repository=start.repository if start else "",
        base=opened.base if opened else None,
        summary=plan.summary if plan else "",
        answer=plan.answer if plan else "",
        tasks=_with_kept(rows, opened) if opened else rows,
        edges_added=plan.added if plan else (),
        approvals=inbox.asked,
        refused_answers=inbox.refused,
        answers=inbox.answered,
        allowed=inbox.allowed,
        codes=opened.codes if opened else False,
        service=opened.service if opened else (),
        planner=planner,
        merge_queue=ids.queue_id(opened.repository.key, opened.repository.target)
        if opened
        else None,
        branch=opened.branch if opened else None,
        commit=delivered.commit if delivered else None,
        diffstat=delivered.diffstat if delivered else "",
        checks=checks,
        checks_asked=_checks_asked(start) if start else (),
        checks_from=_checks_from(start, opened) if start else "",
        work_command=salvage_command(opened) if opened and opened.store else "",
        landed_command=landed_command(opened) if opened and opened.store else "",
        cost_usd=usd(spent.microusd) + open_cost,
        budget_usd=start.budget_usd if start else 0.0,
        unpriced_tokens=spent.unpriced_tokens + sum(row.unpriced_tokens for row in rows),
        model=model,
        models=in_words(chosen(start)) if start else "",
        notes=opened.notes if opened else (),
    )
