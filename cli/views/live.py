"""The live view: one snapshot, laid out for a terminal of any size."""

from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.padding import Padding
from rich.text import Text

from cli import hints
from cli.feed import FeedKind, FeedLine
from cli.formatting import clean, clean_lines, cost, money, name, span
from cli.snapshot import Snapshot
from cli.views.feed import FEED_MARKS, reply_text, reply_title
from cli.views.fitting import Fitted, Keep, Section
from cli.views.plan_table import PlanTable
from cli.views.report import check_line, goal_lines, kept_lines
from cli.wrapping import broken
from contracts.approvals import Approval
from contracts.merge_queue import MergeQueueStatus
from contracts.review import FindingState
from contracts.visibility import RunState
from domain.request import expected_cost
from domain.request.notes import must_pass
from domain.review.findings import finding_line
from domain.text import clip
from infra.live.reader import RunningReply

WATCHED_LINES = 40
"""Of a question in a view that is redrawn, where there is room for them."""
_SHOWN_FINDINGS = 8
_FEED_LINES = 12
"""Of the feed beside the plan, where there is room for them."""
_FOLLOWED_LINES = 200
_REPLY_LINES = 3
_NARROW = 64
"""Columns below which what may be shortened takes one line."""
_FEED_STYLES = {
    FeedKind.SAYS: "",
    FeedKind.CALLS: "cyan",
    FeedKind.OUTPUT: "dim",
    FeedKind.TOLD: "dim",
    FeedKind.BEGINS: "dim",
    FeedKind.FAILED: "yellow",
    FeedKind.SENT_BACK: "yellow",
    FeedKind.HANDS_IN: "magenta",
    FeedKind.FINDING: "yellow",
}


def live_view(
    snapshot: Snapshot,
    *,
    program: str,
    detail_lines: int = WATCHED_LINES,
    fit: bool = False,
    task: str | None = None,
    asked: RenderableType | None = None,
    last: bool = False,
) -> RenderableType:
    """Return the whole view: head, the plan, what waits for a person, what agents say, facts.

    Args:
        snapshot: what is shown.
        program: how the commands begin that are shown.
        detail_lines: how much of each question is shown.
        fit: leave out what does not fit on the terminal; else it is as long as it is.
        task: the one task that is followed.
        asked: what stands in place of the questions: how they are answered by keys.
        last: the request has ended, and a report follows with checks and findings.
    """
    status = snapshot.status
    questions = [
        _question(snapshot, approval, program, detail_lines) for approval in status.approvals
    ]
    sections = [
        Section(Group(*_head(snapshot, brief=fit, last=last)), least=4, rank=1, noted=False),
        _plan_section(snapshot, task),
        *([Section(asked or Group(*questions), least=4, rank=0)] if questions or asked else []),
        Section(Group(*_facts(snapshot, brief=fit, last=last)), least=2, rank=4),
        *([_feed_section(snapshot, task)] if not last else []),
    ]
    if snapshot.problem:
        problem = Text(clean(snapshot.problem, 1_000), "yellow")
        sections.append(Section(problem, least=2, rank=0))
    return Fitted(sections, fit=fit)


def _plan_section(snapshot: Snapshot, task: str | None) -> Section:
    return Section(
        PlanTable(snapshot, only=task),
        least=7,
        rank=1,
        shrink=lambda lines: PlanTable(snapshot, most=lines, only=task),
    )


def _head(snapshot: Snapshot, *, brief: bool, last: bool) -> list[RenderableType]:
    status = snapshot.status
    spent = cost(status.cost_usd, status.unpriced_tokens)
    if status.budget_usd:
        spent += f" of {money(status.budget_usd)}"
    head = Text.assemble(
        (name(status.id), "bold"),
        "  ",
        (status.state.value, _state_style(status.state)),
        f"  {span(snapshot.seconds)}  {spent}",
        *([f"  {clean(status.model)}"] if status.model else []),
        *([f" (asked for: {clean(status.models)})"] if status.models else []),
    )
    lines: list[RenderableType] = [head]
    if about := status.summary or status.request:
        lines.append(_Short(Text(clean(about), "dim"), 1 if brief else None))
    if status.reason and not last:
        reason = Text(clean(status.reason, 1_000))
        lines.append(_Short(reason, 2 if brief else None))
    if asked := must_pass(status):
        checks = Text(f"checks: {clean(asked, 1_000)}", "dim")
        lines.append(_Short(checks, 1 if brief else None))
    if goal := goal_lines(status):
        shown = goal[:1] if brief else goal
        lines += [_Short(Text(line, "dim"), 1 if brief else None) for line in shown]
    lines += [Text(clean(note), "yellow") for note in status.notes]
    if expected := expected_cost.of_status(status):
        told = Text(f"expected cost: {clean(expected, 600)}", "dim")
        lines.append(_Short(told, 1 if brief else None))
    lines += [Text(f"base: {clean(each)}", "yellow") for each in status.base_problems]
    if status.follow_ups and not status.ending:
        then = Text(f"then: {'; '.join(clean(each) for each in status.follow_ups)}", "dim")
        lines.append(_Short(then, 1 if brief else None))
    lines += [Text(line) for line in kept_lines(status) if status.ending and not last]
    if snapshot.link and not last:
        lines.append(_Link(name(snapshot.link), brief=brief))
    return lines


class _Short:
    """A text of at most so many lines; what is left out is seen by its ellipsis."""

    def __init__(self, text: Text, most: int | None) -> None:
        self._text = text
        self._most = most

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Cut the text at the end of its last line."""
        lines = self._text.wrap(console, options.max_width)
        most = 1 if self._most and options.max_width < _NARROW else self._most
        if most is None or len(lines) <= most:
            yield self._text
            return
        shown = lines[:most]
        end = shown[-1]
        end.truncate(options.max_width - 2)
        end.rstrip()
        end.append(" …")
        yield from shown


def _question(
    snapshot: Snapshot, approval: Approval, program: str, detail_lines: int
) -> RenderableType:
    """Return a question: the commands that answer it first, then what it is about."""
    risk = f" (risk: {clean(approval.risk)})" if approval.risk else ""
    look = hints.look_command(program, snapshot.status.id, approval)
    lines: list[RenderableType] = [
        Text(f"? {clean(approval.what)}{risk}", "bold yellow"),
        *[
            CommandText(line, "cyan")
            for line in hints.answer_commands(program, snapshot.status.id, approval)
        ],
        indented(f"  {clean(approval.why)}", "yellow"),
        *[indented(f"  {line}") for line in clean_lines(approval.detail, detail_lines)],
        *([CommandText(look, "blue")] if look else []),
    ]
    return Padding(Group(*lines), (0, 0, 0, 1))


def indented(line: str, style: str = "") -> Padding:
    """Return a line that keeps its indentation where a narrow terminal breaks it."""
    text = line.lstrip(" ")
    return Padding(Text(text, style), (0, 0, 0, len(line) - len(text)), expand=False)


class CommandText:
    """A command line that can be pasted whole, however narrow the terminal is."""

    def __init__(self, line: str, style: str) -> None:
        self._line = line
        self._style = style

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Break the line between words where it does not fit."""
        yield Text(broken(self._line, options.max_width), self._style, overflow="fold")


class _Link:
    """An address, whole or not at all: where it would take much of a view it is left out."""

    def __init__(self, link: str, *, brief: bool) -> None:
        self._link = link
        self._brief = brief

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the address where there is room for it."""
        if not self._brief or len(self._link) <= 2 * options.max_width:
            yield Text(self._link, "blue", overflow="fold")


def _facts(snapshot: Snapshot, *, brief: bool, last: bool) -> Iterator[RenderableType]:
    """Yield what stands below the plan: refused answers, findings, the merge queue, checks."""
    status = snapshot.status
    for refused in status.refused_answers[-2:]:
        yield Text(f"answer not taken: {clean(refused.problem)}", "yellow")
    if last:
        return
    for finding in _open_findings(snapshot):
        yield _Short(finding, 2 if brief else None)
    for task in status.tasks:
        if task.left_out:
            left = f"left out of what is kept  {name(task.id)} {clean(task.left_out, 600)}"
            yield Text(left, "yellow")
    if snapshot.queue:
        yield Text(f"merge queue  {queue_line(snapshot.queue)}")
    for check in status.checks:
        yield Text(f"check  {check_line(check)}", "green" if check.passed else "red")


def _open_findings(snapshot: Snapshot) -> list[Text]:
    """Return the open findings, those that block in yellow; the report has the settled ones too."""
    found = [
        (task.id, finding)
        for task in snapshot.status.tasks
        for finding in task.findings
        if finding.state is FindingState.OPEN
    ]
    return [
        Text(
            f"finding  {name(task)} {clean(finding_line(each), 500)}",
            "yellow" if each.priority < 2 else "dim",
        )
        for task, each in found[:_SHOWN_FINDINGS]
    ]


def _feed_section(snapshot: Snapshot, task: str | None) -> Section:
    """Return what agents said and did, and below it what they say just now."""
    feed = snapshot.feed
    lines = feed.lines[-(_FOLLOWED_LINES if task else _FEED_LINES) :]
    most = None if task else _REPLY_LINES
    return Section(
        Group(
            *[_Said(line, whole=task is not None) for line in lines],
            *[_Coming(reply, most) for reply in feed.replies],
        ),
        least=2 + 2 * len(feed.replies),
        rank=3,
        keep=Keep.LAST,
    )


class _Said:
    """A line of the feed: whole where one task is followed, else cut to one line."""

    def __init__(self, line: FeedLine, *, whole: bool) -> None:
        self._line = line
        self._whole = whole

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the line; on a narrow terminal who said it takes a third of it at most."""
        line, most = self._line, max(options.max_width // 3, 10)
        who = "" if self._whole else f"{clip(line.who, most)} "
        text = Text.assemble((who, "dim"), f"{FEED_MARKS[line.kind]} ", line.text)
        text.stylize(_FEED_STYLES[line.kind], len(who))
        if not self._whole:
            text.no_wrap, text.overflow = True, "ellipsis"
        yield text


class _Coming:
    """A reply that is coming: who says it, how much there is, and its last lines."""

    def __init__(self, reply: RunningReply, most: int | None) -> None:
        self._reply = reply
        self._most = most

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the title and the last lines."""
        title = Text(f"~  {reply_title(self._reply)}", no_wrap=True, overflow="ellipsis")
        title.stylize("yellow" if self._reply.about.again else "bold")
        yield title
        words = Text(clean_text(reply_text(self._reply)))
        lines = words.wrap(console, max(options.max_width - 3, 10))
        shown = [line for line in lines if line.plain.strip()][-(self._most or len(lines) or 1) :]
        for line in shown:
            line.rstrip()
            yield Text.assemble("   ", line)


def clean_text(text: str) -> str:
    """Return foreign lines as one text without anything that moves a cursor."""
    return "\n".join(clean_lines(text, 1_000))


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
