"""The view without a terminal: one line for every change between two snapshots.

Every line begins with the seconds since the request's start and a word that says what it is
about: request, base, model, plan, task, finding, agent, merge, check, approval, answer, connection.
"""

from collections.abc import Iterator
from operator import attrgetter

from cli import hints
from cli.formatting import clean, clean_lines, commit, cost, count
from cli.snapshot import PLANNER, Snapshot
from cli.views.live import agent_activity, agent_cost, queue_line
from cli.views.report import check_line, rounds
from contracts.approvals import Approval
from contracts.task import TaskStatus
from domain.review.findings import finding_line

_task_facts = attrgetter("state", "reason", "rounds", "commit")
_agent_facts = attrgetter("role", "turns", "doing")


def changes(before: Snapshot | None, after: Snapshot, *, program: str) -> list[str]:
    """Return a line for everything that is new in `after`."""
    parts = (_request, _base, _plan, _tasks, _agents, _merge, _checks, _connection)
    lines = [line for part in parts for line in part(before, after)]
    lines += _approvals(before, after, program)
    return [f"{after.seconds:8.1f}s  {line}" for line in lines]


def _request(before: Snapshot | None, after: Snapshot) -> Iterator[str]:
    old, new = before and before.status, after.status
    if not old and after.link:
        yield f"request {new.id} {after.link}"
    if not old or (old.state, old.reason) != (new.state, new.reason):
        yield f"request {new.state}{_why(new.reason)}"
    if new.model and new.model != (old.model if old else ""):
        yield f"model {clean(new.model)}"
    for note in new.notes[len(old.notes) if old else 0 :]:
        yield f"note: {clean(note)}"


def _base(before: Snapshot | None, after: Snapshot) -> Iterator[str]:
    known = before.status.base_problems if before else ()
    for problem in after.status.base_problems:
        if problem not in known:
            yield f"base {clean(problem)}"


def _plan(before: Snapshot | None, after: Snapshot) -> Iterator[str]:
    if not after.status.tasks or (before and before.status.tasks):
        return
    yield f"plan: {clean(after.status.summary)}"
    for task in after.status.tasks:
        waits = f" after {', '.join(task.depends_on)}" if task.depends_on else ""
        yield f"plan task {task.id}{waits}: {clean(task.title)}"
    for edge in after.status.edges_added:
        yield f"plan order {edge.before} before {edge.after}: {clean(edge.reason)}"


def _tasks(before: Snapshot | None, after: Snapshot) -> Iterator[str]:
    old = {task.id: task for task in before.status.tasks} if before else {}
    for task in after.status.tasks:
        was = old.get(task.id)
        if was is None or _task_facts(was) != _task_facts(task):
            yield _task_line(task)
        known = was.findings if was else ()
        for finding in task.findings:
            if finding not in known:
                yield f"finding {task.id} {clean(finding_line(finding), 1_000)}"
        if task.lane and task.lane != (was.lane if was else ""):
            yield f"task {task.id} lane {clean(task.lane)}"


def _task_line(task: TaskStatus) -> str:
    facts = [
        f"rounds {rounds(task)}" if task.rounds else "",
        f"landed {commit(task.commit)}" if task.commit else "",
        f"kept: {clean(task.kept, 1_000)}" if task.kept else "",
        f"turns {task.turns}, tokens {count(task.tokens)}, "
        f"{cost(task.cost_usd, task.unpriced_tokens)}"
        if task.turns
        else "",
    ]
    shown = "; ".join(fact for fact in facts if fact)
    return f"task {task.id} {task.state}{_why(task.reason)}" + (f" [{shown}]" if shown else "")


def _agents(before: Snapshot | None, after: Snapshot) -> Iterator[str]:
    for name, agent in after.agents.items():
        was = before.agents.get(name) if before else None
        if was is None or _agent_facts(was) != _agent_facts(agent):
            who = PLANNER if name == PLANNER else f"{name} {agent.role}"
            spent = f"[{count(agent.tokens)} tokens, {agent_cost(agent)}]"
            yield f"agent {who} turn {agent.turns}{_why(agent_activity(agent))} {spent}"


def _merge(before: Snapshot | None, after: Snapshot) -> Iterator[str]:
    if after.queue and after.queue != (before and before.queue):
        yield f"merge {queue_line(after.queue)}"


def _checks(before: Snapshot | None, after: Snapshot) -> Iterator[str]:
    known = before.status.checks if before else ()
    if after.status.checks != known:
        for result in after.status.checks:
            yield f"check {check_line(result)}"


def _connection(before: Snapshot | None, after: Snapshot) -> Iterator[str]:
    was = before.problem if before else ""
    if after.problem and after.problem != was:
        yield f"connection {after.problem}"
    if was and not after.problem:
        yield "connection is back"


def _approvals(before: Snapshot | None, after: Snapshot, program: str) -> Iterator[str]:
    old = {(one.id, one.digest) for one in before.status.approvals} if before else set()
    new = {(one.id, one.digest) for one in after.status.approvals}
    for approval in after.status.approvals:
        if (approval.id, approval.digest) not in old:
            yield from _question(after, approval, program)
    for name, _ in sorted(old - new):
        yield f"approval {clean(name)} no longer waits"
    known = len(before.status.refused_answers) if before else 0
    for refused in after.status.refused_answers[known:]:
        yield f"answer not taken: {clean(refused.problem)} (received {clean(refused.received)})"


def _question(after: Snapshot, approval: Approval, program: str) -> Iterator[str]:
    risk = f", risk: {clean(approval.risk)}" if approval.risk else ""
    why = f"({clean(approval.why)}{risk})"
    yield f"approval {clean(approval.id)} waits: {clean(approval.what)} {why}"
    for line in clean_lines(approval.detail):
        yield f"approval {clean(approval.id)} | {line}"
    for line in hints.answer_commands(program, after.status.id, approval):
        yield f"approval answer with: {line}"


def _why(reason: str) -> str:
    return f": {clean(reason, 500)}" if reason else ""
