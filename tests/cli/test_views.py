"""What a person sees: live view, lines, report, table, JSON document."""

import datetime as dt
import io
import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from cli import hints
from cli.answer_pad import AnswerPad
from cli.client import RequestSummary
from cli.commands import status as status_page
from cli.context import CliContext
from cli.feed import Feed, FeedKind, FeedLine
from cli.formatting import clean, clean_lines, count, money, span
from cli.listing import table
from cli.snapshot import PLANNER, Snapshot, agents_at_work
from cli.views.graph import draw
from cli.views.live import live_view
from cli.views.pad import PadView
from cli.views.plain import changes
from cli.views.report import closing, document
from cli.watching.screen import shown_on
from contracts import roles
from contracts.approvals import AnswerRecord, ApprovalKind
from contracts.endings import RequestEnding
from contracts.goal import GoalRound, GoalStatus
from contracts.merge_queue import MergeQueueStatus
from contracts.planning import AddedEdge
from contracts.review import FindingState, KeptFinding
from contracts.task import TaskState, TaskStatus
from contracts.visibility import RunState
from domain.request.markdown import card
from domain.text import visible
from infra.live.entries import CallAbout, Part
from infra.live.reader import RunningReply
from runtime.records import SupervisorRecord
from tests.cli.builders import COMMIT, REQUEST_ID, agent, approval, check, snapshot, status, task

PROGRAM = "python starter.py"
DIAMOND = (
    task("base", TaskState.DONE, commit=COMMIT),
    task("left", TaskState.RUNNING, "base", agent="agent-left", turns=1, tokens=100),
    task("right", TaskState.BLOCKED, "base", reason="waits for left"),
    task("top", TaskState.PENDING, "left", "right"),
)


def drawn(shown: Snapshot) -> str:
    """Return the live view's text on a wide terminal."""
    console = Console(file=io.StringIO(), width=200, force_terminal=False)
    console.print(live_view(shown, program=PROGRAM))
    output = console.file
    assert isinstance(output, io.StringIO)
    return output.getvalue()


def test_the_graph_shows_each_task_below_its_deepest_dependency() -> None:
    """In a diamond the last task hangs below one side and names the other; roots have no rail."""
    rows = {row.task.id: row for row in draw(DIAMOND)}

    assert list(rows) == ["base", "left", "top", "right"]
    assert rows["base"].rail == ""
    assert rows["left"].rail.startswith("├─▶")
    assert rows["right"].rail.startswith("└─▶")
    assert rows["top"].also == ("right",)


names = st.lists(st.sampled_from("abcdefgh"), unique=True, max_size=8)


@given(names, st.data())
def test_the_graph_draws_every_task_exactly_once(ids: list[str], data: st.DataObject) -> None:
    """For any dependencies, cycles and unknown names included, no task is lost or doubled; a task
    with a rail names its other dependencies only.
    """
    after = st.lists(st.sampled_from([*"abcdefgh"]), unique=True, max_size=4)
    tasks = [task(name, TaskState.PENDING, *data.draw(after)) for name in ids]

    rows = draw(tasks)

    assert sorted(ids) == sorted(row.task.id for row in rows)
    for row in rows:
        assert set(row.also) <= set(row.task.depends_on)
        assert bool(row.rail) == (len(row.also) < len(row.task.depends_on))


def test_the_rounds_left_are_shown_while_a_task_is_open() -> None:
    """In the live view, the plain one and the web UI, beside how often it was sent back."""
    open_task = task("a", TaskState.RUNNING, rounds=1, rounds_left=1, turns=3)
    ended = task("a", TaskState.DONE, rounds=1, rounds_left=1)

    assert "1, 1 left" in drawn(snapshot(open_task))
    assert "left" not in drawn(snapshot(ended))
    assert "rounds 1, 1 left" in "\n".join(changes(None, snapshot(open_task), program="s"))
    assert "sent back 1×, 1 round left" in card(snapshot(open_task).status)


def test_the_live_view_shows_what_every_task_does() -> None:
    """State, agent, turn, tokens, cost, rounds, the landed commit and the reason are shown."""
    queue = MergeQueueStatus(
        target="t",
        tip=None,
        waiting=("r/base/0", "r/left/1"),
        testing=("r/base/0",),
        landed=1,
        evicted=2,
        rounds=3,
    )
    shown = replace(
        snapshot(
            *DIAMOND,
            model="claude-x (rehearsed)",
            cost_usd=0.5,
            budget_usd=10.0,
            checks=(check(),),
            reason="all is well",
        ),
        agents={"left": agent("left")},
        queue=queue,
        link="http://ui/x",
    )

    printed = drawn(shown)

    for word in (
        REQUEST_ID,
        "RUNNING",
        "$0.5000 of $10.00",
        "claude-x (rehearsed)",
        "all is well",
        "http://ui/x",
        "coder",
        "12.3k",
        "$0.0123",
        "run_command python3 -m unittest",
        COMMIT[:10],
        "waits for left",
        "also after right",
        "testing base; waiting left (round 2); landed 1; sent back 2",
        "exit 0  python3 -m unittest -q",
    ):
        assert word in printed


def test_the_planner_is_shown_before_there_is_a_plan() -> None:
    """While the plan is made, the planner is shown in place of the tasks."""
    printed = drawn(replace(snapshot(), agents={PLANNER: agent("planner", roles.PLANNER)}))

    assert "planning" in printed
    assert "run_command python3 -m unittest" in printed


def test_a_question_comes_with_the_commands_that_answer_it() -> None:
    """Live view and lines show what waits, why, and three commands with the id and the digest."""
    shown = replace(snapshot(approvals=(approval(detail="1. mend"),)), link="http://ui/x")

    for printed in (drawn(shown), "\n".join(changes(None, shown, program=PROGRAM))):
        for verb in ("approve", "reject", "revise"):
            assert f"{PROGRAM} {verb} mend-the-shop-1a2b3c plan --digest 0123456789ab" in printed
        assert "carry out a plan of 3 tasks" in printed
        assert "1. mend" in printed
        assert "http://ui/x" in printed


def test_only_what_an_agent_made_can_be_sent_back() -> None:
    """A delivery is approved or rejected; nothing offers to revise it."""
    delivery = approval("delivery", kind=ApprovalKind.DELIVERY)

    printed = hints.answer_commands(PROGRAM, REQUEST_ID, delivery)

    assert [line.split()[2] for line in printed] == ["approve", "reject"]


def test_the_deep_link_survives_any_workflow_id() -> None:
    """Slashes and blanks of the id are encoded; without a UI there is no link."""
    link = hints.deep_link("http://127.0.0.1:8233/", "request/a b", run_id="r", namespace="default")

    assert (
        link == "http://127.0.0.1:8233/namespaces/default/workflows/request%2Fa%20b/r/user-metadata"
    )
    assert hints.deep_link(None, "x", run_id="r", namespace="default") == ""


def test_lines_show_changes_and_nothing_else() -> None:
    """The first snapshot gives all lines, an equal one none, a changed task one."""
    first = snapshot(*DIAMOND, summary="Four tasks", model="m (rehearsed)")
    done = tuple(
        one.model_copy(update={"state": TaskState.DONE, "commit": COMMIT})
        if one.id == "left"
        else one
        for one in DIAMOND
    )

    printed = changes(None, first, program=PROGRAM)
    assert "     1.5s  plan: Four tasks" in printed
    assert "     1.5s  plan task top after left, right: Do top" in printed
    assert "     1.5s  model m (rehearsed)" in printed
    assert changes(first, first, program=PROGRAM) == []
    later = changes(first, snapshot(*done, summary="Four tasks", model="m (rehearsed)"), program="")
    assert len(later) == 1
    assert f"task left done [landed {COMMIT[:10]}; turns 1" in later[0]


def test_lines_show_agents_queue_checks_and_answers() -> None:
    """A turn, the merge queue, a check, an answered approval and a refused answer are shown."""
    before = snapshot(*DIAMOND, approvals=(approval(),))
    refused = AnswerRecord(received="yes", problem="nothing of that name waits")
    queue = MergeQueueStatus(
        target="t", tip=None, waiting=(), testing=("r/left/0",), landed=0, evicted=0, rounds=1
    )
    after = replace(
        snapshot(*DIAMOND, checks=(check(1, tail="boom\nFAILED"),), refused_answers=(refused,)),
        agents={"left": agent("left")},
        queue=queue,
    )

    printed = "\n".join(changes(before, after, program=PROGRAM))

    for word in (
        "agent left coder turn 3: run_command python3 -m unittest [12.3k tokens, $0.0123]",
        "merge testing left; landed 0",
        "check exit 1  python3 -m unittest -q  0.8 s  (FAILED)",
        "approval plan no longer waits",
        "answer not taken: nothing of that name waits (received yes)",
    ):
        assert word in printed


def test_lines_show_that_a_connection_is_lost_and_back() -> None:
    """An unavailable server or worker is one line, its return another."""
    well = snapshot()
    away = replace(well, problem="No worker answers.")

    assert [line[11:] for line in changes(well, away, program="")] == [
        "connection No worker answers."
    ]
    assert changes(away, away, program="") == []
    assert [line[11:] for line in changes(away, well, program="")] == ["connection is back"]


def test_added_edges_are_shown_with_the_plan() -> None:
    """An order that the planner did not ask for is shown with its reason."""
    edge = AddedEdge(before="a", after="b", reason="both write README.md")
    shown = snapshot(task("a"), task("b"), edges_added=(edge,))

    printed = "\n".join(changes(None, shown, program=PROGRAM))

    assert "plan order a before b: both write README.md" in printed


def test_the_report_of_a_delivery_holds_everything() -> None:
    """Branch, commit, diffstat, checks with exit codes, cost, wall time, model and link."""
    done = status(
        task("a", TaskState.DONE),
        state=RunState.DONE,
        branch="orchestcode/mend",
        commit=COMMIT,
        diffstat=" shop/cart.py | 2 +-\n 1 file changed",
        checks=(check(), check(1, tail="x"), check(None, timed_out=True)),
        cost_usd=1.234,
        model="m (rehearsed)",
    )

    printed = "\n".join(closing(done, seconds=65.2, link="http://ui/x"))

    for word in (
        "Delivered: branch orchestcode/mend at 3f9c3f9c3f",
        "shop/cart.py | 2 +-",
        "exit 0  python3 -m unittest -q",
        "exit 1  python3 -m unittest -q",
        "time limit  python3 -m unittest -q",
        "Cost: $1.23, wall time 1 min 05 s, 1 of 1 task done, model m (rehearsed)",
        "Details: http://ui/x",
    ):
        assert word in printed


HOLE = KeptFinding(name="F1", round=0, priority=1, title="Negative numbers", path="a.py", line=3)
SETTLED = HOLE.model_copy(
    update={"name": "F2", "state": FindingState.OVERRULED, "by": "Ann", "reason": "not now"}
)


def test_findings_are_shown_settled_or_not() -> None:
    """In the report, the lines, the live view (the open ones) and the card."""
    found = task("a", TaskState.RUNNING, findings=(HOLE, SETTLED))
    before, after = snapshot(task("a", TaskState.RUNNING)), snapshot(found)
    open_line = "F1 [P1] Negative numbers (a.py:3), open"
    settled_line = "F2 [P1] Negative numbers (a.py:3), overruled by Ann: not now"

    report = closing(status(found), seconds=1, link="")
    assert report.index(f"  a: {open_line}") < report.index(f"  a: {settled_line}")
    assert changes(before, after, program=PROGRAM) == [
        f"     1.5s  finding a {open_line}",
        f"     1.5s  finding a {settled_line}",
    ]
    assert open_line in drawn(after)
    assert "F2" not in drawn(after)
    assert "F1 \\[P1\\] Negative numbers (a.py:3), open" in card(status(found))


def test_a_task_that_needed_no_change_says_why() -> None:
    """It is an outcome of its own, not a delivery without a branch."""
    done = task("a", TaskState.DONE, no_change="a.py does it since line 3")

    assert "No change: a: a.py does it since line 3" in closing(status(done), seconds=1, link="")
    assert "no change: a.py does it since line 3" in card(status(done))


def test_what_is_not_kept_of_a_task_is_said_everywhere() -> None:
    """In the report, the lines, the live view and the card, however it was named."""
    left = task("a", TaskState.RUNNING, left_out="too large: big`x`.bin (400 MB)")
    before, after = snapshot(task("a", TaskState.RUNNING)), snapshot(left)
    said = "too large: big`x`.bin (400 MB)"

    assert f"Left out of what is kept: a: {said}" in closing(status(left), seconds=1, link="")
    assert changes(before, after, program=PROGRAM) == [
        f"     1.5s  task a left out of what is kept: {said}"
    ]
    assert f"left out of what is kept  a {said}" in drawn(after)
    assert "left out of what is kept: too large: big\\`x\\`.bin (400 MB)" in card(status(left))


def test_the_report_of_a_failure_names_what_was_not_done() -> None:
    """The reason comes first; each task that is not done is listed with its own reason."""
    failed = status(
        task("a", TaskState.FAILED, reason="given up after 3 rounds"),
        state=RunState.FAILED,
        reason="1 of 1 task failed",
    )

    printed = closing(failed, seconds=3.0, link="")

    assert printed[0] == "Failed: 1 of 1 task failed"
    assert "Not done: a (failed) given up after 3 rounds" in printed
    assert not any(line.startswith("Details") for line in printed)


def test_an_answer_stands_where_the_person_looks() -> None:
    """A question that needed no change is answered in the report and on the card, line by line."""
    said = "Yes: parse() keeps comments.\n\nSee lexer.py, line 20."
    done = status(task("ask", TaskState.DONE, answer=said), state=RunState.DONE)

    printed = closing(done, seconds=3.0, link="")

    assert printed[:5] == [
        "Done: the request needed no change, so there is no branch",
        "Answer (ask):",
        "  Yes: parse() keeps comments.",
        "",
        "  See lexer.py, line 20.",
    ]
    assert said in card(done)
    assert "#### Answer (ask)" in card(done)


def test_what_was_red_before_any_change_is_shown_at_once() -> None:
    """The live view, the lines, the report and the card name it."""
    red = "`make test` fails before we started (exit code 2)"
    shown = snapshot(base_problems=(red,))

    assert f"base: {red}" in drawn(shown)
    assert any(line.endswith(f"base {red}") for line in changes(None, shown, program="p"))
    assert f"Base: {red}" in closing(shown.status, seconds=1.0, link="")
    assert "#### Before any change" in card(shown.status)


def test_what_must_pass_and_who_says_so_is_in_sight() -> None:
    """Live view, lines, card and report say which checks count, from where, and that the base has
    passed them.
    """
    settings = ".orchestcode/settings.json of the base"
    shown = snapshot(
        base=COMMIT, checks_asked=("npm test",), checks_from=settings, base_passes=("npm test",)
    )
    said = f"checks: `npm test` (named by {settings})"

    assert said in drawn(shown)
    assert any(line.endswith(said) for line in changes(None, shown, program="p"))
    assert f"**Checks:** \\`npm test\\` (named by {settings})" in card(shown.status)
    report = closing(shown.status, seconds=1.0, link="")
    assert "Base: `npm test` passes before we started" in report
    assert "checks: none named; only what each task promises is run" in drawn(snapshot(base=COMMIT))


def test_the_goal_and_its_rounds_are_in_sight() -> None:
    """Live view, lines, report, card and the document name the command and what each round came
    to; once it is given up, why.
    """
    rounds = (
        GoalRound(number=1, tasks=("a",), commit=COMMIT, changed=True, outcome="(exit code 1): no"),
        GoalRound(number=2, tasks=("round-2",), commit=COMMIT, outcome="(exit code 1)", failing=3),
    )
    found = GoalStatus(command="make test", before="(exit code 2)", rounds=rounds, most=5)
    shown = snapshot(goal=found)
    told = "until `make test` passes: round 3 of at most 5"
    last = "round 2 (round-2): it fails (exit code 1); 3 tests fail; no file changed; 0.0000 USD"

    assert f"Goal: {told}" in drawn(shown)
    lines = changes(None, shown, program="p")
    assert any(line.endswith(f"goal {told}") for line in lines)
    assert any(line.endswith(f"goal {last}") for line in lines)
    again = snapshot(goal=found.model_copy(update={"rounds": rounds[:1]}))
    assert not any("round 1 (a)" in line for line in changes(again, shown, program="p"))
    report = closing(shown.status, seconds=1.0, link="")
    assert report[1:4] == [
        f"Goal: {told}",
        "  before: it fails (exit code 2)",
        "  round 1 (a): it fails (exit code 1): no; 0.0000 USD",
    ]
    assert "#### Goal: until \\`make test\\` passes" in card(shown.status)
    missed = shown.status.model_copy(update={"goal": found.model_copy(update={"missed": "why"})})
    assert "Goal: `make test` does not pass, after 2 rounds" in closing(
        missed, seconds=1.0, link=""
    )
    printed: Any = document(shown.status)["goal"]
    assert [each["outcome"] for each in printed["rounds"]] == ["(exit code 1): no", "(exit code 1)"]


def test_the_json_document_has_the_documented_keys() -> None:
    """A full and a bare status have exactly the documented keys, with plain JSON values."""
    full = status(
        task("a", TaskState.DONE, turns=2, tokens=30, cost_usd=0.25),
        checks=(check(),),
        approvals=(approval(),),
        cost_usd=0.5,
        branch="b",
        commit=COMMIT,
    )

    printed = json.loads(json.dumps(document(full)))

    keys = (
        "id state reason since branch commit cost_usd model models request repository summary notes"
    )
    assert (
        set(printed)
        == {*keys.split(), "unpriced_tokens", "base_problems", "tasks", "checks", "approvals"}
        | {"base_passes", "checks_asked", "checks_from", "attempt", "budget_usd", "estimate"}
        | {"answer", "follow_ups", "goal", "answers"}
        == set(document(status()))
    )
    assert (printed["id"], printed["state"], printed["cost_usd"]) == (REQUEST_ID, "RUNNING", 0.5)
    assert printed["tasks"] == [
        {
            "id": "a",
            "title": "Do a",
            "state": "done",
            "reason": "",
            "depends_on": [],
            "turns": 2,
            "tokens": 30,
            "unpriced_tokens": 0,
            "cost": 0.25,
            "rounds": 0,
            "rounds_left": None,
            "commit": None,
            "findings": [],
            "no_change": "",
            "kept": "",
            "answer": "",
            "left_out": "",
            "granted": [],
        }
    ]
    told = set(re.findall(r"\w+", status_page.__doc__ or ""))
    assert {*printed, *printed["tasks"][0], *printed["checks"][0]} <= told
    command = {"command": "python3 -m unittest -q", "passed": True}
    assert printed["checks"] == [{**command, "exit_code": 0, "seconds": 0.8, "timed_out": False}]
    assert set(printed["approvals"][0]) == {"id", "kind", "what", "why", "risk", "digest"}


HOSTILE = "\x1b]0;own\x07\x1b[31mred\x1b[0m [bold]x[/bold] \u202eevil\nsecond"


def test_untrusted_texts_reach_the_terminal_as_plain_text() -> None:
    """Escapes, control and bidirectional characters are gone from every view; markup stays text."""
    hostile = task("a", TaskState.BLOCKED, reason=HOSTILE)
    hostile_status = status(
        hostile,
        reason=HOSTILE,
        summary=HOSTILE,
        request=HOSTILE,
        model=HOSTILE,
        diffstat=HOSTILE,
        branch=HOSTILE,
        checks=(check(1, command=HOSTILE, tail=HOSTILE),),
        approvals=(approval(what=HOSTILE, why=HOSTILE, detail=HOSTILE, risk=HOSTILE),),
    )
    shown = Snapshot(hostile_status, agents={"a": agent("a", doing=HOSTILE)})

    for printed in (
        drawn(shown),
        "\n".join(changes(None, shown, program=PROGRAM)),
        "\n".join(closing(hostile_status, seconds=1, link="")),
    ):
        assert "\x1b" not in printed
        assert "\u202e" not in printed
        assert "[bold]x[/bold]" in printed


def test_a_hostile_id_is_written_out_and_one_word_of_every_command() -> None:
    """A workflow id with escapes, quotes and line ends stands in every view and command as it is,
    visibly, and a shell reads it as one word.
    """
    request_id = f"request/{HOSTILE}'; touch x; '"
    asked = status(
        task("a", TaskState.DONE, "no-such"), id=request_id, approvals=(approval(HOSTILE),)
    )
    shown = Snapshot(asked, link="http://x/\x1b[2J", problem="\x1b[2Jno")
    out = io.StringIO()
    context = CliContext(environ={}, folder=Path(), now=lambda: 0.0, stdout=out)
    context.print_out(f"There is no {request_id}.")
    with shown_on(Console(file=out, width=400), program=PROGRAM) as screen:
        screen.show(shown)
    left = hints.detached_hints(PROGRAM, request_id, supervisor=None, address=None)
    commands = hints.answer_commands(PROGRAM, request_id, asked.approvals[0])

    for printed in (drawn(shown), out.getvalue(), "\n".join([*left, *commands])):
        assert visible(printed) == printed
        assert "own" in printed
    assert all("\n" not in line for line in commands)
    words = subprocess.run(
        ["bash", "-c", f"set -- {commands[0]}; printf '%s|' $#; printf %s \"$4\""],
        capture_output=True,
        check=True,
    )
    assert words.stdout.decode() == f"7|{hints.short_id(request_id)}"


def test_output_that_is_no_terminal_gets_lines_at_once() -> None:
    """A pipe gets one line per change, without colours, cut nowhere."""
    out = io.StringIO()
    console = Console(file=out, width=20)
    with shown_on(console, program=PROGRAM) as screen:
        screen.show(snapshot(reason="a reason that is much longer than twenty characters"))

    assert (
        "request RUNNING: a reason that is much longer than twenty characters\n" in out.getvalue()
    )
    assert "\x1b" not in out.getvalue()


def test_a_terminal_gets_a_live_view_that_stays() -> None:
    """On a terminal the last snapshot is left on the screen."""
    out = io.StringIO()
    console = Console(file=out, width=120, force_terminal=True, color_system=None)
    with shown_on(console, program=PROGRAM) as screen:
        screen.show(snapshot(*DIAMOND))
        screen.show(snapshot(*DIAMOND, reason="nearly there"))

    assert "nearly there" in out.getvalue()
    assert "○ top" in out.getvalue()


def test_the_table_of_requests_is_aligned_and_names_what_waits() -> None:
    """One line a request, names without their prefix: how many answers are missing, how old it is,
    how long it took, its cost and its repository.
    """
    start = dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC)
    open_one = RequestSummary("request/a-1", "r", RunState.WAITING_APPROVAL, 2, start, None)
    end = start + dt.timedelta(seconds=14.2)
    closed = RequestSummary("by-hand", "r", RunState.DONE, 0, start, end, repository="/srv/shop")

    printed = table([open_one, closed], [0.0123, 2.0], now=start.timestamp() + 125)

    assert printed[1].split()[:3] == ["a-1", "WAITING_APPROVAL", "2"]
    assert printed[1].endswith("2 min  2 min 05 s  $0.0123")
    assert printed[2].startswith("by-hand")
    assert printed[2].endswith("2 min  14.2 s      $2.00    /srv/shop")
    assert table([], [], now=0.0) == ["No requests yet."]


def test_only_agents_at_work_are_asked() -> None:
    """Running and reviewed tasks' agents, and the planner while it plans."""
    tasks: tuple[TaskStatus, ...] = (
        task("a", TaskState.DONE, agent="x"),
        task("b", TaskState.REVIEW, agent="y"),
        task("c", TaskState.RUNNING),
    )

    assert agents_at_work(status(*tasks)) == {"b": "y"}
    assert agents_at_work(status(planner="p")) == {PLANNER: "p"}


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        pytest.param(count(950), "950", id="few"),
        pytest.param(count(12_345), "12.3k", id="thousands"),
        pytest.param(count(999_960), "1.0M", id="nearly a million"),
        pytest.param(money(0.0), "$0.00", id="no money"),
        pytest.param(money(0.01234), "$0.0123", id="little money"),
        pytest.param(money(12.345), "$12.35", id="money"),
        pytest.param(span(8.31), "8.3 s", id="seconds"),
        pytest.param(span(59.96), "1 min 00 s", id="a minute"),
        pytest.param(span(3_725), "1 h 02 min", id="hours"),
        pytest.param(clean("a\n  b"), "a b", id="one line"),
    ],
)
def test_figures_are_short_and_have_units(printed: str, expected: str) -> None:
    """Counts, dollars and durations read well at every size."""
    assert expected == printed


def test_long_texts_say_how_much_is_hidden() -> None:
    """Lines beyond the limit are counted, not silently dropped; an empty text has no lines."""
    assert clean_lines("a\nb\nc\nd", 2) == ["a", "b", "… 2 more lines"]
    assert clean_lines("") == []


def test_a_request_that_is_left_says_how_to_come_back() -> None:
    """It says whether the request goes on and by what, and how to come back, look and give up."""

    def left(supervisor: SupervisorRecord | None, address: str | None = None) -> str:
        lines = hints.detached_hints(PROGRAM, REQUEST_ID, supervisor=supervisor, address=address)
        return "\n".join(lines)

    service = SupervisorRecord(pid=41, background=True)
    said = {
        left(service): "goes on in the background (process 41) until it has ended.",
        left(SupervisorRecord(pid=42)): "goes on as long as `up` runs (process 42).",
        left(None, "temporal:7233"): "as long as a worker of temporal:7233 runs.",
        left(None): "is not lost, but nothing works on it now",
        left(SupervisorRecord(pid=43, with_worker=False)): "nothing works on it now",
    }
    for text, words in said.items():
        assert words in text
        for verb in ("watch", "status", "cancel"):
            assert f"{PROGRAM} {verb} mend-the-shop-1a2b3c" in text
        assert (f"{PROGRAM} up --detach" in text) is ("nothing works" in text)
        assert (f"{PROGRAM} stop" in text) is ("process 41" in text)


def test_what_differs_from_the_checkout_is_shown_once_everywhere() -> None:
    """A note of the opening stands in card, live view, plain lines and JSON."""
    note = "A submodule is empty here: libs/inner."
    before, after = snapshot(), snapshot(notes=(note,))

    assert note in card(after.status)
    assert drawn(after).count(note) == 1
    assert [line for line in changes(before, after, program=PROGRAM) if note in line] == [
        f"     1.5s  note: {note}"
    ]
    assert changes(after, after, program=PROGRAM) == []
    assert document(after.status)["notes"] == [note]


def test_what_has_no_known_price_is_shown_so() -> None:
    """Tokens whose price nobody said stand in every view as of unknown price, not as free."""
    unknown = task("a", TaskState.DONE, turns=2, tokens=30_000, unpriced_tokens=30_000)
    ended = status(unknown, state=RunState.DONE, unpriced_tokens=31_000)

    assert "Cost: price of 31.0k tokens unknown" in "\n".join(closing(ended, seconds=1, link=""))
    (line,) = [each for each in changes(None, snapshot(unknown), program="p") if "turns 2" in each]
    assert "price of 30.0k tokens unknown" in line
    assert re.search(r"30\.0k +unknown", drawn(snapshot(unknown)))
    plans = {PLANNER: agent("planner", roles.PLANNER, priced=False)}
    assert "price unknown" in drawn(replace(snapshot(), agents=plans))
    works = {"a": agent("a", priced=False)}
    running = drawn(replace(snapshot(task("a", TaskState.RUNNING)), agents=works))
    assert re.search(r"12\.3k +unknown", running)
    assert "The price of 31,000 tokens is unknown" in card(
        ended.model_copy(update={"model": "own-1"})
    )


def test_a_failed_task_shows_where_its_last_patch_is_kept() -> None:
    """The command that fetches the work of a failed task stands in the closing report."""
    lost = task("a", TaskState.FAILED, reason="cut", kept="git fetch /store refs/oc/x")
    ended = status(lost, state=RunState.FAILED, reason="0 of 1 tasks done")

    assert "  its last patch is kept: git fetch /store refs/oc/x" in closing(
        ended, seconds=1, link=""
    )


def followed(**more: object) -> Snapshot:
    """Return a request with six tasks at work, a reply that is coming, and two questions."""
    tasks = [
        task(f"a-task-with-quite-a-long-name-{place}", state, agent=f"a{place}")
        for place, state in enumerate(("running", "review", "pending", "done", "failed", "blocked"))
        for state in (TaskState(state),)
    ]
    coming = RunningReply(
        CallAbout("c", "coder", tasks[0].id, 4, again=1),
        ((Part.SAYS, "many words " * 60), (Part.CALLS, "edit"), (Part.INPUT, '{"path": "x.py"')),
        chars=700,
        seconds=14,
    )
    lines = [
        FeedLine(tasks[0].id, f"{tasks[0].id} coder", FeedKind.CALLS, f"view file{number}.py")
        for number in range(30)
    ]
    shown = snapshot(*tasks, reason="a reason " * 40, summary="a summary " * 40, **more)
    agents = {tasks[0].id: agent(tasks[0].id)}
    return replace(shown, agents=agents, feed=Feed(tuple(lines), 30, (coming,)), link="http://x/y")


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 24), (200, 50), (40, 12)])
@pytest.mark.parametrize("asked", [False, True])
def test_the_live_view_fits_every_terminal(
    columns: int,
    rows: int,
    asked: bool,  # noqa: FBT001 - a case
) -> None:
    """No line is wider, none is below the bottom; plan, state, question, keys and the words that
    come stay in sight, and what is cut ends in an ellipsis.
    """
    detail = "\n".join(f"a line {number} of the diffstat" for number in range(60))
    questions = (approval(detail=detail), approval("delivery", kind=ApprovalKind.DELIVERY))
    shown = followed(approvals=questions if asked else (), checks=(check(), check(1, tail="x")))
    pad = AnswerPad()
    pad.update(shown.status.approvals)
    out = io.StringIO()
    console = Console(file=out, width=columns, height=rows)
    keys = PadView(pad, REQUEST_ID, PROGRAM)
    console.print(live_view(shown, program=PROGRAM, fit=True, asked=keys))
    lines = out.getvalue().splitlines()

    assert len(lines) <= rows - 1
    assert max(map(len, lines)) <= columns
    seen = "\n".join(lines)
    assert ("a approve" in seen and "1 of 2" in seen) is asked
    assert "…" in seen
    if rows >= 24:
        assert "file29.py" in seen or "many words" in seen
        rows_of_tasks = [line for line in lines if "a-task-with-" in line]
        states = ("running", "review", "blocked", "failed", "pending", "done")
        for state in states:
            assert any(state in line for line in rows_of_tasks), f"{state} in:\n{seen}"


def test_more_tasks_than_rows_are_counted() -> None:
    """Those at work stay, the others are a line that says in which states they are."""
    tasks = [task(f"t{place}", list(TaskState)[place % 7]) for place in range(60)]
    out = io.StringIO()
    Console(file=out, width=80, height=24).print(
        live_view(snapshot(*tasks), program=PROGRAM, fit=True)
    )

    assert re.search(r"… \d+ more tasks \(.*\d+ done", out.getvalue())
    assert "◆ t3 " in out.getvalue()


def test_checks_stand_once_when_a_request_has_ended() -> None:
    """In the report, or above it where each change is a line; the last live view has none."""
    ended = snapshot(checks=(check(),), state=RunState.DONE, ending=RequestEnding.DELIVERED)
    before = snapshot(checks=(check(),))
    console = Console(file=io.StringIO(), width=100)
    console.print(live_view(ended, program=PROGRAM, last=True))
    assert isinstance(console.file, io.StringIO)

    assert "unittest" not in console.file.getvalue()
    for first in (snapshot(), before):
        out = io.StringIO()
        with shown_on(Console(file=out), program=PROGRAM) as screen:
            screen.show(first)
            screen.show(ended, last=True)
        report = closing(ended.status, seconds=1, link="", checks=not screen.checks_shown)
        assert (out.getvalue() + "\n".join(report)).count("python3 -m unittest") == 1


def test_lines_show_what_agents_say_and_that_a_reply_still_comes() -> None:
    """Each thing once; a reply that takes long is a line every ten seconds, and one that began
    again says so.
    """
    said = FeedLine("a", "a coder", FeedKind.SAYS, "I read it.")
    before = replace(snapshot(), feed=Feed((said,), 1))
    about = CallAbout("c", "coder", "a", 2)
    slow = RunningReply(about, ((Part.SAYS, "x"),), chars=1_200, seconds=21)
    again = RunningReply(CallAbout("d", "coder", "b", 2, again=1), chars=3)
    after = replace(before, feed=Feed((said, said), 2, (slow, again)))

    assert [line[11:] for line in changes(before, after, program="")] == [
        "a coder    I read it.",
        "a coder turn 2: 1,200 characters, 21 s so far",
        "b coder turn 2, began again: 3 characters, 0 s so far",
    ]
    assert changes(after, after, program="") == []


def test_a_question_about_a_stuck_agent_shows_every_way_to_answer() -> None:
    """Approve, reject, a hint, and the command that takes the task over."""
    asked = approval("stuck/mend/0").model_copy(update={"kind": ApprovalKind.STUCK})
    told = hints.answer_commands("oc", REQUEST_ID, asked)

    assert [line.split()[1] for line in told] == ["approve", "reject", "revise", "hand-off"]
    assert told[-1].endswith(" mend")
    assert hints.look_command("oc", REQUEST_ID, asked).endswith(" mend")


def test_a_question_that_offers_a_rule_shows_the_command_that_allows_it() -> None:
    """Beside the one for this once; the rule itself stands in what is asked."""
    asked = approval("tool/mend/1", kind=ApprovalKind.TOOL).model_copy(
        update={"rules": ("Bash(make)",)}
    )
    told = hints.answer_commands("oc", REQUEST_ID, asked)

    assert [line.split()[1] for line in told] == ["approve", "approve", "reject"]
    assert told[1] == f"{told[0]} --for-request"
