"""The live view: one snapshot, laid out for a terminal."""

import re

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cli import hints
from cli.formatting import clean, clean_lines, commit, cost, count, money, span
from cli.snapshot import PLANNER, Snapshot
from cli.views.graph import Row, draw
from cli.views.report import check_line, kept_lines, rounds
from contracts.agent import AgentStatus
from contracts.approvals import Approval
from contracts.merge_queue import MergeQueueStatus
from contracts.review import FindingState
from contracts.task import TaskState
from contracts.visibility import RunState
from domain.review.findings import finding_line
from domain.scheduling.task_state import TASK_MARKS

_SHOWN_FINDINGS = 8
_TASK_STYLES = {
    TaskState.PENDING: "dim",
    TaskState.RUNNING: "cyan",
    TaskState.BLOCKED: "yellow",
    TaskState.REVIEW: "magenta",
    TaskState.DONE: "green",
    TaskState.FAILED: "red",
    TaskState.CANCELLED: "dim",
}


def live_view(snapshot: Snapshot, *, program: str) -> RenderableType:
    """Return the whole view: head, what waits for a person, the plan, merge queue, checks."""
    status = snapshot.status
    return Group(
        *_head(snapshot),
        *[_question(snapshot, approval, program) for approval in status.approvals],
        *[
            Text(f"answer not taken: {clean(refused.problem)}", "yellow")
            for refused in status.refused_answers[-2:]
        ],
        _plan(snapshot),
        *_open_findings(snapshot),
        *([Text(f"merge queue  {queue_line(snapshot.queue)}")] if snapshot.queue else []),
        *[
            Text(f"check  {check_line(check)}", "green" if check.passed else "red")
            for check in status.checks
        ],
        *([Text(snapshot.problem, "yellow")] if snapshot.problem else []),
    )


def _head(snapshot: Snapshot) -> list[RenderableType]:
    status = snapshot.status
    spent = cost(status.cost_usd, status.unpriced_tokens)
    if status.budget_usd:
        spent += f" of {money(status.budget_usd)}"
    head = Text.assemble(
        (status.id, "bold"),
        "  ",
        (status.state.value, _state_style(status.state)),
        f"  {span(snapshot.seconds)}  {spent}",
        *([f"  {clean(status.model)}"] if status.model else []),
    )
    lines: list[RenderableType] = [head]
    if about := status.summary or status.request:
        lines.append(Text(clean(about), "dim"))
    lines += [Text(clean(note), "yellow") for note in status.notes]
    if status.reason:
        lines.append(Text(clean(status.reason, 1_000)))
    lines += [Text(f"base: {clean(each)}", "yellow") for each in status.base_problems]
    lines += [Text(line) for line in kept_lines(status) if status.ending]
    if snapshot.link:
        lines.append(Text(snapshot.link, "blue", overflow="fold"))
    return lines


def _question(snapshot: Snapshot, approval: Approval, program: str) -> RenderableType:
    """Return a question with what it is about and the commands that answer it."""
    risk = f" (risk: {clean(approval.risk)})" if approval.risk else ""
    lines = [
        Text(f"? {clean(approval.what)}{risk}", "bold yellow"),
        Text(f"  {clean(approval.why)}", "yellow"),
        *[Text(f"  {line}") for line in clean_lines(approval.detail, 12)],
        Text("  answer in another terminal:"),
        *[
            Text(f"    {line}", "cyan", overflow="fold")
            for line in hints.answer_commands(program, snapshot.status.id, approval)
        ],
    ]
    return Padding(Group(*lines), (0, 0, 0, 1))


def _plan(snapshot: Snapshot) -> RenderableType:
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column("plan", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("agent", no_wrap=True)
    for name in ("turn", "tokens", "cost", "back"):
        table.add_column(name, justify="right", no_wrap=True)
    # The only column that may shrink; its texts are cut, never wrapped.
    table.add_column("doing")
    planner = snapshot.agents.get(PLANNER)
    if planner:
        table.add_row(*_agent_cells(planner))
    for row in draw(snapshot.status.tasks):
        table.add_row(*_task_cells(row, snapshot.agents.get(row.task.id)))
    return table


def _open_findings(snapshot: Snapshot) -> list[RenderableType]:
    """Return the open findings, those that block in yellow; the report has the settled ones too."""
    found = [
        (task.id, finding)
        for task in snapshot.status.tasks
        for finding in task.findings
        if finding.state is FindingState.OPEN
    ]
    return [
        Text(
            f"finding  {task} {clean(finding_line(each), 500)}",
            "yellow" if each.priority < 2 else "dim",
        )
        for task, each in found[:_SHOWN_FINDINGS]
    ]


def _agent_cells(agent: AgentStatus) -> list[Text]:
    return [
        Text(f"{TASK_MARKS[TaskState.RUNNING]} {agent.task_ref}"),
        Text("planning", "cyan"),
        Text(agent.role),
        Text(str(agent.turns)),
        Text(count(agent.tokens)),
        Text(agent_cost(agent)),
        Text(""),
        _cut(agent_activity(agent)),
    ]


def agent_cost(agent: AgentStatus) -> str:
    """Return what a running agent has cost, where the price of its model is known."""
    return money(agent.cost_usd) if agent.priced else "price unknown"


def _task_cells(row: Row, agent: AgentStatus | None) -> list[Text]:
    """Return one task's cells; its sums grow when an agent ends, so a running one may be ahead."""
    task = row.task
    style = _TASK_STYLES[task.state]
    tokens = max(task.tokens, agent.tokens if agent else 0)
    usd = max(task.cost_usd, agent.cost_usd if agent else 0.0)
    priced = not task.unpriced_tokens and (agent is None or agent.priced)
    return [
        Text.assemble((row.rail, "dim"), (f"{TASK_MARKS[task.state]} {task.id}", style)),
        Text(task.state.value, style),
        Text(agent.role if agent else ""),
        Text(_unless_zero(agent.turns if agent else task.turns)),
        Text(_unless_zero(tokens, count(tokens))),
        Text(_unless_zero(usd, money(usd)) if priced else "unknown"),
        Text(_unless_zero(task.rounds, rounds(task))),
        _cut(task_activity(row, agent)),
    ]


def _unless_zero(number: float, text: str = "") -> str:
    return (text or str(number)) if number else ""


def _cut(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")


def agent_activity(agent: AgentStatus) -> str:
    """Return what an agent does in words, without the turn, which has its own column."""
    words = re.sub(r"^turn \d+: ", "", clean(agent.doing))
    return "asks the model" if words == "model" else words


def task_activity(row: Row, agent: AgentStatus | None) -> str:
    """Return what happens with a task: what its agent does, a reason, or its title."""
    task = row.task
    if agent and task.state is not TaskState.BLOCKED:
        return agent_activity(agent) or clean(task.reason or task.title)
    if task.state is TaskState.DONE:
        landed = f"landed {commit(task.commit)}, " if task.commit else ""
        return f"{landed}{clean(task.title)}"
    waits = row.also and task.state in (TaskState.PENDING, TaskState.BLOCKED)
    also = f"also after {', '.join(row.also)}: " if waits else ""
    return also + clean(task.reason or task.title)


def queue_line(queue: MergeQueueStatus) -> str:
    """Return the merge queue's status in one line."""
    waiting = [name for name in queue.waiting if name not in queue.testing]
    parts = [
        f"testing {', '.join(map(_patch, queue.testing))}" if queue.testing else "",
        f"waiting {', '.join(map(_patch, waiting))}" if waiting else "",
        f"landed {queue.landed}",
        f"sent back {queue.evicted}",
        f"test rounds {queue.rounds}",
    ]
    return "; ".join(part for part in parts if part)


def _patch(name: str) -> str:
    """Return a queued patch, `<request key>/<task>/<round>`, as its task and round."""
    task, went_back = ["", *clean(name).split("/")][-2:]
    return f"{task} (round {int(went_back) + 1})" if went_back.strip("0").isdecimal() else task


def _state_style(state: RunState) -> str:
    if state is RunState.DONE:
        return "bold green"
    if state in (RunState.FAILED, RunState.CANCELLED, RunState.CONFLICT):
        return "bold red"
    return "bold cyan" if state is RunState.RUNNING else "bold yellow"
