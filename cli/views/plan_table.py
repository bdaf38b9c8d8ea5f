"""The plan as a table that fits: a narrow terminal loses columns, a low one rows, none its ids."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from cli.formatting import clean, commit, count, money, name
from cli.snapshot import PLANNER, Snapshot
from cli.views.graph import Row, draw
from cli.views.report import rounds
from contracts.agent import AgentStatus
from contracts.task import TaskState
from domain.scheduling.task_state import TASK_MARKS

_TASK_STYLES = {
    TaskState.PENDING: "dim",
    TaskState.RUNNING: "cyan",
    TaskState.BLOCKED: "yellow",
    TaskState.REVIEW: "magenta",
    TaskState.DONE: "green",
    TaskState.FAILED: "red",
    TaskState.CANCELLED: "dim",
}
_FIRST = (
    *(TaskState.REVIEW, TaskState.RUNNING, TaskState.BLOCKED, TaskState.FAILED),
    *(TaskState.PENDING, TaskState.DONE, TaskState.CANCELLED),
)
"""Which tasks stay in sight where not all of them fit."""
_WIDE, _MIDDLE = 100, 64
"""Columns of a terminal from which on the table has all of its own, or those that matter most."""
_GAP = 2
_LEAST_DOING = 12
_FIGURES = ("turn", "tokens", "cost", "back")


@dataclass(frozen=True)
class _Line:
    """One row: the cells of a task, or of the planner before there is a plan."""

    rail: str
    id: str
    state: str
    style: str
    agent: str
    figures: tuple[str, str, str, str]
    doing: str


class PlanTable:
    """The plan of a snapshot.

    Args:
        most: rows including the heading; None for all.
        only: the one task that is shown.
    """

    def __init__(
        self, snapshot: Snapshot, *, most: int | None = None, only: str | None = None
    ) -> None:
        self._snapshot = snapshot
        self._most = most
        self._only = only

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table for the width that there is."""
        lines, left_out = self._rows()
        if lines:
            yield _table(lines, options.max_width)
        if left_out:
            yield Text(left_out, "dim", no_wrap=True, overflow="ellipsis")

    def _rows(self) -> tuple[list[_Line], str]:
        """Return the rows, and in words what is left out."""
        snapshot = self._snapshot
        agents = snapshot.agents
        planner = agents.get(PLANNER)
        lines = [_planner_line(planner)] if planner and not self._only else []
        rows = [row for row in draw(snapshot.status.tasks) if self._only in (None, row.task.id)]
        if self._most is None or len(lines) + len(rows) + 1 <= self._most:
            return [*lines, *(_task_line(row, agents.get(row.task.id)) for row in rows)], ""
        room = max(self._most - len(lines) - 2, 0)
        kept = sorted(rows, key=lambda row: _FIRST.index(row.task.state))[:room]
        # Without the others the lines between tasks would lead nowhere.
        flat = [Row(row.task) for row in rows if row in kept]
        hidden = [row.task.state for row in rows if row not in kept]
        words = ", ".join(f"{hidden.count(state)} {state}" for state in _FIRST if state in hidden)
        shown = [*lines, *(_task_line(row, agents.get(row.task.id)) for row in flat)]
        return shown, f"… {len(hidden)} more tasks ({words})"


def _table(lines: Sequence[_Line], width: int) -> Table:
    figures = _figures(lines, width)
    agents = any(line.agent for line in lines) and width >= _MIDDLE
    state = max(len("state"), *(cell_len(line.state) for line in lines))
    id_width, doing = _widths(lines, width, state, agents=agents, figures=figures)
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, _GAP, 0, 0))
    table.add_column("plan", no_wrap=True, width=id_width, overflow="ellipsis")
    table.add_column("state", no_wrap=True, width=state)
    if agents:
        table.add_column("agent", no_wrap=True)
    for place in figures:
        table.add_column(_FIGURES[place], justify="right", no_wrap=True)
    if doing:
        table.add_column("doing", no_wrap=True, overflow="ellipsis", max_width=doing)
    for line in lines:
        cells = [_id_cell(line, id_width), Text(line.state, line.style)]
        cells += [Text(line.agent)] if agents else []
        cells += [Text(line.figures[place]) for place in figures]
        cells += [Text(line.doing, no_wrap=True, overflow="ellipsis")] if doing else []
        table.add_row(*cells)
    return table


def _id_cell(line: _Line, width: int) -> Text:
    """Return rail and id; where they do not fit the rail goes first."""
    rail = line.rail if cell_len(line.rail + line.id) <= width else ""
    return Text.assemble((rail, "dim"), (line.id, line.style), overflow="ellipsis")


def _figures(lines: Sequence[_Line], width: int) -> tuple[int, ...]:
    """Return the figures for which there is room, those that nobody has left out."""
    wanted = (0, 1, 2, 3) if width >= _WIDE else (2,) if width >= _MIDDLE else ()
    return tuple(place for place in wanted if any(line.figures[place] for line in lines))


def _widths(
    lines: Sequence[_Line], width: int, state: int, *, agents: bool, figures: Sequence[int]
) -> tuple[int, int]:
    """Return the widths of ids and of what is done; the latter 0 where there is no room."""
    fixed = state + _GAP
    if agents:
        fixed += max(len("agent"), *(cell_len(line.agent) for line in lines)) + _GAP
    for place in figures:
        fixed += max(len(_FIGURES[place]), *(len(line.figures[place]) for line in lines)) + _GAP
    whole = max(4, *(cell_len(line.rail + line.id) for line in lines))
    bare = max(4, *(cell_len(line.id) for line in lines))
    room = width - fixed - _GAP
    if whole + _LEAST_DOING <= room:
        return whole, room - whole
    if bare + _LEAST_DOING <= room:
        return room - _LEAST_DOING, _LEAST_DOING
    return min(whole, max(room + _GAP, 8)), 0


def _planner_line(agent: AgentStatus) -> _Line:
    return _Line(
        rail="",
        id=f"{TASK_MARKS[TaskState.RUNNING]} {name(agent.task_ref)}",
        state="planning",
        style="cyan",
        agent=name(agent.role),
        figures=(str(agent.turns), count(agent.tokens), agent_cost(agent), ""),
        doing=agent_activity(agent),
    )


def agent_cost(agent: AgentStatus) -> str:
    """Return what a running agent has cost, where the price of its model is known."""
    return money(agent.cost_usd) if agent.priced else "price unknown"


def _task_line(row: Row, agent: AgentStatus | None) -> _Line:
    """Return one task's row; its sums grow when an agent ends, so a running one may be ahead."""
    task = row.task
    tokens = max(task.tokens, agent.tokens if agent else 0)
    usd = max(task.cost_usd, agent.cost_usd if agent else 0.0)
    priced = not task.unpriced_tokens and (agent is None or agent.priced)
    return _Line(
        rail=row.rail,
        id=f"{TASK_MARKS[task.state]} {name(task.id)}",
        state=task.state.value,
        style=_TASK_STYLES[task.state],
        agent=name(agent.role) if agent else "",
        figures=(
            _unless_zero(agent.turns if agent else task.turns),
            _unless_zero(tokens, count(tokens)),
            _unless_zero(usd, money(usd)) if priced else "unknown",
            _unless_zero(task.rounds, rounds(task)),
        ),
        doing=task_activity(row, agent),
    )


def _unless_zero(number: float, text: str = "") -> str:
    return (text or str(number)) if number else ""


def agent_activity(agent: AgentStatus) -> str:
    """Return what an agent does in words, without the turn, which has its own column."""
    words = re.sub(r"^turn \d+: ", "", clean(agent.doing))
    said = "asks the model" if words == "model" else words
    if not agent.window:
        return said
    return f"{said} (window {agent.window + 1}: {clean(agent.handed_over, 100)})"


def task_activity(row: Row, agent: AgentStatus | None) -> str:
    """Return what happens with a task: what its agent does, a reason, or its title."""
    task = row.task
    if agent and task.state is not TaskState.BLOCKED:
        return agent_activity(agent) or clean(task.reason or task.title)
    if task.state is TaskState.DONE:
        landed = f"landed {commit(task.commit)}, " if task.commit else ""
        return f"{landed}{clean(task.title)}"
    waits = row.also and task.state in (TaskState.PENDING, TaskState.BLOCKED)
    also = f"also after {', '.join(map(name, row.also))}: " if waits else ""
    return also + clean(task.reason or task.title)
