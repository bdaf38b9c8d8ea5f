"""The view without a terminal: one line for every change between two snapshots.

Every line begins with the seconds since the request's start and a word that says what it is
about: request, base, goal, model, plan, task, finding, agent, merge, check, approval, answer,
connection; what an agent said, did or was told begins with its task and role.
"""

from collections.abc import Iterator
from operator import attrgetter

from cli import hints
from cli.formatting import clean, clean_lines, commit, cost, count, name
from cli.snapshot import PLANNER, Snapshot
from cli.views.feed import FEED_MARKS, reply_title
from cli.views.live import queue_line
from cli.views.plan_table import agent_activity, agent_cost
from cli.views.report import base_lines, check_line, goal_lines, rounds
from contracts.approvals import Approval
from contracts.task import TaskStatus
from domain.request import expected_cost
from domain.request.notes import must_pass
from domain.review.findings import finding_line

DETAIL_LINES = 80
"""Of a question where it is shown once."""
REPLY_SECONDS = 10
"""After each of them a reply that still comes is a line."""
_task_facts = attrgetter("state", "reason", "rounds", "commit")
_agent_facts = attrgetter("role", "turns", "doing", "window")


def changes(before: Snapshot | None, after: Snapshot, *, program: str) -> list[str]:
    """Return a line for everything that is new in `after`."""
    parts = (
        *(_request, _base, _goal, _plan, _follow_ups, _feed, _replies, _tasks, _agents, _merge),
        _checks,
        _connection,
    )
    lines = [line for part in parts for line in part(before, after)]
    lines += _approvals(before, after, program)
    return [f"{after.seconds:8.1f}s  {line}" for line in lines]


def _request(before: Snapshot | None, after: Snapshot) -> Iterator[str]:
    old, new = before and before.status, after.status
    if not old and after.link:
        yield f"request {name(new.id)} {name(after.link)}"
    if not old or (old.state, old.reason) != (new.state, new.reason):
        yield f"request {new.state}{_why(new.reason)}"
    if new.model and new.model != (old.model if old else ""):
        yield f"model {clean(new.model)}"
    if must_pass(new) and must_pass(new) != (must_pass(old) if old else ""):
        yield f"checks: {clean(must_pass(new), 1_000)}"
    for note in new.notes[len(old.notes) if old else 0 :]:
        yield f"note: {clean(note)}"


def _base(before: Snapshot | None, after: Snapshot) -> Iterator[str]:
    known = base_lines(before.status) if before else []
    for line in base_lines(after.status):
        if line not in known:
            yield line.replace("Base: ", "base ", 1)


def _goal(before: Snapshot | None, after: Snapshot) -> Iterator[str]:
    known = goal_lines(before.status) if before else []
    for line in goal_lines(after.status):
        if line not in known:
            yield f"goal {line.removeprefix('Goal: ').strip()}"


def _plan(before: Snapshot | None, after: Snapshot) -> Iterator[str]:
    if not after.status.tasks or (before and before.status.tasks):
        return
    yield f"plan: {clean(after.status.summary)}"
    for task in after.status.tasks:
        waits = f" after {', '.join(map(name, task.depends_on))}" if task.depends_on else ""
        yield f"plan task {name(task.id)}{waits}: {clean(task.title)}"
    if expected := expected_cost.of_status(after.status):
        yield f"plan expected cost: {clean(expected, 600)}"
    for edge in after.status.edges_added:
        yield f"plan order {name(edge.before)} before {name(edge.after)}: {clean(edge.reason)}"


def _follow_ups(before: Snapshot | None, after: Snapshot) -> Iterator[str]:
    known = before.status.follow_ups if before else ()
    if not after.status.ending:
        yield from (f"then {clean(each)}" for each in after.status.follow_ups if each not in known)


def _tasks(before: Snapshot | None, after: Snapshot) -> Iterator[str]:
    old = {task.id: task for task in before.status.tasks} if before else {}
    for task in after.status.tasks:
        was = old.get(task.id)
        if was is None or _task_facts(was) != _task_facts(task):
            yield _task_line(task)
        known = was.findings if was else ()
        for finding in task.findings:
            if finding not in known:
                yield f"finding {name(task.id)} {clean(finding_line(finding), 1_000)}"
        if task.left_out and task.left_out != (was.left_out if was else ""):
            yield f"task {name(task.id)} left out of what is kept: {clean(task.left_out, 600)}"
        if task.lane and task.lane != (was.lane if was else ""):
            yield f"task {name(task.id)} lane {clean(task.lane)}"


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
    return f"task {name(task.id)} {task.state}{_why(task.reason)}" + (
        f" [{shown}]" if shown else ""
    )


def _agents(before: Snapshot | None, after: Snapshot) -> Iterator[str]:
    for key, agent in after.agents.items():
        was = before.agents.get(key) if before else None
        if was is None or _agent_facts(was) != _agent_facts(agent):
            who = PLANNER if key == PLANNER else f"{name(key)} {name(agent.role)}"
            spent = f"[{count(agent.tokens)} tokens, {agent_cost(agent)}]"
            yield f"agent {who} turn {agent.turns}{_why(agent_activity(agent))} {spent}"


def _feed(before: Snapshot | None, after: Snapshot) -> Iterator[str]:
    known = before.feed.count if before else 0
    fresh = after.feed.count - known
    for line in after.feed.lines[-fresh:] if fresh > 0 else ():
        yield f"{line.who} {FEED_MARKS[line.kind]} {line.text}"


def _replies(before: Snapshot | None, after: Snapshot) -> Iterator[str]:
    """Yield that a reply still comes, every so often, and that one began again."""
    known = {reply.about: reply for reply in before.feed.replies} if before else {}
    for reply in after.feed.replies:
        was = known.get(reply.about)
        began_again = was is None and reply.about.again
        periods = int(reply.seconds // REPLY_SECONDS)
        if began_again or periods > (int(was.seconds // REPLY_SECONDS) if was else 0):
            yield f"{reply_title(reply)} so far"


def _merge(before: Snapshot | None, after: Snapshot) -> Iterator[str]:
    if after.queue and after.queue != (before and before.queue):
        yield f"merge {queue_line(after.queue)}"


def _checks(before: Snapshot | None, after: Snapshot) -> Iterator[str]:
    known = before.status.checks if before else ()
    # The report of a request that has ended has them.
    if after.status.checks != known and not after.status.ending:
        for result in after.status.checks:
            yield f"check {check_line(result)}"


def _connection(before: Snapshot | None, after: Snapshot) -> Iterator[str]:
    was = before.problem if before else ""
    if after.problem and after.problem != was:
        yield f"connection {clean(after.problem, 1_000)}"
    if was and not after.problem:
        yield "connection is back"


def _approvals(before: Snapshot | None, after: Snapshot, program: str) -> Iterator[str]:
    old = {(one.id, one.digest) for one in before.status.approvals} if before else set()
    new = {(one.id, one.digest) for one in after.status.approvals}
    for approval in after.status.approvals:
        if (approval.id, approval.digest) not in old:
            yield from _question(after, approval, program)
    for asked, _ in sorted(old - new):
        yield f"approval {clean(asked)} no longer waits"
    known = len(before.status.refused_answers) if before else 0
    for refused in after.status.refused_answers[known:]:
        yield f"answer not taken: {clean(refused.problem)} (received {clean(refused.received)})"


def _question(after: Snapshot, approval: Approval, program: str) -> Iterator[str]:
    risk = f", risk: {clean(approval.risk)}" if approval.risk else ""
    why = f"({clean(approval.why).rstrip('.')}{risk})"
    yield f"approval {clean(approval.id)} waits: {clean(approval.what)} {why}"
    for line in hints.answer_commands(program, after.status.id, approval):
        yield f"approval answer with: {line}"
    for line in clean_lines(approval.detail, DETAIL_LINES):
        yield f"approval {clean(approval.id)} | {line}"
    if look := hints.look_command(program, after.status.id, approval):
        yield f"approval look with: {look}"


def _why(reason: str) -> str:
    return f": {clean(reason, 500)}" if reason else ""
