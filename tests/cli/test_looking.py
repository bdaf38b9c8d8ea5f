"""How a log, a diff, an explanation and costs are shown; that they are right: tests/system."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typing_extensions import override

from cli import hints
from cli.context import CliContext
from cli.costs import table
from cli.paging import show_diff
from cli.program import called_as
from cli.snapshot import PLANNER, with_agents_spending
from cli.views import whole as whole_view
from cli.views.live import live_view
from cli.views.log import LogView, document
from cli.views.plain import changes
from contracts import roles
from contracts.approvals import ApprovalKind
from contracts.checks import CheckResult
from contracts.endings import RequestEnding, TaskEnding
from contracts.model import ModelTurn, Usage
from contracts.planning import Plan, TaskSpec
from contracts.request import RequestStatus
from contracts.spending import AgentOpened, Spending
from contracts.store import ConversationRef
from contracts.task import TaskState
from contracts.visibility import RunState
from domain.approvals.questions import hand_off_approval, plan_approval
from domain.request.status import delivery_summary
from domain.request.why import explained
from domain.spending import with_spending
from domain.text import visible
from infra.kept.turns import Called, LoggedTurn, UserBlock
from runtime.redaction import redactor
from tests.cli.builders import COMMIT, REQUEST_ID, agent, approval, snapshot, status, task

SECRET = "correct horse battery"
CODER = AgentOpened(conversation="c", agent="request/x/task/a/coder-1", role=roles.CODER, task="a")
TURN = ModelTurn(
    conversation=ConversationRef(id="c", head="0" * 40),
    stop_reason="tool_use",
    model="claude-x",
    usage=Usage(input_tokens=1_000, cache_read_tokens=500, output_tokens=20),
    cost_microusd=12_300,
)


def logged(*told: UserBlock, says: str = "I go on.", **more: object) -> LoggedTurn:
    """Return the second turn of a coder."""
    values = {"sent_back": False, "calls": (), "turn": TURN, **more}
    return LoggedTurn(CODER, 2, 0.0, told, says=says, **values)  # type: ignore[arg-type]


def lines(turn: LoggedTurn, *, whole: bool = False) -> list[str]:
    """Return how a turn is shown."""
    return LogView(whole=whole, redact=redactor((SECRET,))).lines(turn)


def test_a_turn_shows_its_figures_output_words_and_calls() -> None:
    """What came in first, then what was said, then what was called."""
    call = Called("run_command", "make", {"command": "make"})
    shown = lines(logged(UserBlock("ok", "view a.py"), calls=(call,)))

    assert shown == [
        "-- a coder turn 2: claude-x, $0.0123, 1.5k tokens in (500 from the cache), 20 out",
        "  <- view a.py",
        "     | ok",
        "  I go on.",
        "  -> run_command make",
        "",
    ]


def test_a_long_output_is_shortened_unless_it_is_asked_for_whole() -> None:
    """Its first and its last lines stay, and how many are left out is said."""
    turn = logged(UserBlock("\n".join(map(str, range(100))), "view a.py"))

    assert "     | ... 88 more lines ..." in lines(turn)
    assert {"     | 0", "     | 99"} <= set(lines(turn))
    assert [f"     | {number}" for number in range(100)] == lines(turn, whole=True)[2:102]


def test_no_text_of_a_log_moves_a_cursor_or_holds_a_secret() -> None:
    """Whoever wrote it: output, words, subject of a call, a message from outside."""
    hostile = f"\x1b[2J\u202e{SECRET}\r\x1b]0;x\x07"
    call = Called("edit", hostile, {"path": hostile}, hostile)
    given = {"summary": hostile, "findings": [{"priority": 1, "title": hostile}]}
    turn = logged(
        UserBlock(hostile, hostile),
        UserBlock(hostile),
        says=hostile,
        calls=(call,),
        handed_in=given,
    )

    out = io.StringIO()
    context = CliContext(environ={}, folder=Path(), now=lambda: 0.0, stdout=out)
    context.print_out(*lines(turn, whole=True))
    for shown in (out.getvalue(), str(document(turn, redactor((SECRET,))))):
        assert SECRET not in shown
    assert not {"\x1b", "\u202e", "\r", "\x07"} & set(out.getvalue())


def test_a_discarded_reply_says_so() -> None:
    """It is paid for and no part of the conversation."""
    cut = TURN.model_copy(update={"discarded": True, "stop_reason": "max_tokens"})

    assert lines(logged(turn=cut))[0].endswith("20 out, discarded (max_tokens)")


class Terminal(io.StringIO):
    """An output that is a terminal."""

    @override
    def isatty(self) -> bool:
        return True


DIFF = ["diff --git a/x b/x", "@@ -1 +1 @@", "-old", "+new\x1b[2J"]


def paged(output: io.StringIO, pager: str | None = None, **environ: str) -> str:
    """Return what a diff comes to on an output."""
    path = {"PATH": os.environ["PATH"], **environ}
    context = CliContext(environ=path, folder=Path(), now=lambda: 0.0, stdout=output, pager=pager)
    show_diff(DIFF, context)
    return output.getvalue()


def test_a_diff_is_plain_in_a_pipe_and_coloured_on_a_terminal() -> None:
    """Its own escapes are written out; NO_COLOR keeps it plain."""
    assert paged(io.StringIO()) == "diff --git a/x b/x\n@@ -1 +1 @@\n-old\n+new\\u001b[2J\n"
    assert "\x1b[32m+new\\u001b[2J\x1b[m\n" in paged(Terminal(), "cat")
    assert "\x1b" not in paged(Terminal(), "", NO_COLOR="1")


def test_the_pager_is_the_one_that_git_would_take(tmp_path: Path) -> None:
    """GIT_PAGER before core.pager of the person's configuration before PAGER; one that is not there
    hides nothing.
    """
    (tmp_path / ".gitconfig").write_text(f"[core]\n\tpager = cat > {tmp_path}/configured\n")
    paged(Terminal(), f"cat > {tmp_path}/given", HOME=str(tmp_path))
    assert not (tmp_path / "configured").exists()
    paged(Terminal(), HOME=str(tmp_path), PAGER=f"cat > {tmp_path}/usual")
    paged(Terminal(), HOME="/nowhere", PAGER=f"cat > {tmp_path}/usual")

    for name in ("given", "configured", "usual"):
        assert "old" in (tmp_path / name).read_text()
    assert "old" in paged(Terminal(), "no-such-pager")


def why(of: RequestStatus, **more: object) -> str:
    """Return an explanation as one text."""
    values = {"waiting": "since noon", "doing": {}, "red": {}, **more}
    return "\n".join(explained(of, **values))  # type: ignore[arg-type]


def test_why_says_what_waits_and_since_when() -> None:
    """A question with the rule that asks, a blocker, or what the agents at work do."""
    asks = why(status(approvals=(approval(),), state=RunState.WAITING_APPROVAL))
    assert asks.startswith(
        "It waits for your answer since noon: plan: carry out a plan of 3 tasks."
    )
    stuck = why(status(state=RunState.WAITING_INFRA, reason="no room on /srv"))
    assert stuck == "It cannot go on since noon (WAITING_INFRA): no room on /srv."
    runs = why(status(task("a", TaskState.RUNNING), reason="tasks at work"), doing={"a": "edits"})
    assert runs == "Nothing keeps it from going on since noon: tasks at work. a: edits."


def test_why_tells_the_cause_of_a_failure_first_then_the_output_then_what_to_do() -> None:
    """The red command of a task that failed, its exit code, the end of what it printed."""
    red = CheckResult(command="make", exit_code=2, seconds=1, tail="one\ntwo")
    failed = status(
        task("a", TaskState.FAILED, reason="given up", ending=TaskEnding.GIVEN_UP, workflow_id="w"),
        state=RunState.FAILED,
        reason="a failed: given up",
        ending=RequestEnding.INCOMPLETE,
        work_command="git list",
    )

    assert why(failed, red={"a": [red]}).splitlines() == [
        "Failed: a failed: given up.",
        "Task a:",
        "  $ make  (exit code 2)",
        "  | one",
        "  | two",
        "  Its last patch is kept.",
        "Its work so far is in the store; list it with: git list",
        "`retry` runs what is missing again, and keeps what is there.",
    ]


PARTS = (
    Spending(role=roles.PLANNER, model="m", turns=1, cost_microusd=10_000),
    Spending(role=roles.CODER, task="a", model="m", turns=2, cost_microusd=20_000),
    Spending(role=roles.CODER, task="a", model="n", turns=1, usage=TURN.usage, priced=False),
)


def test_a_status_counts_what_its_agents_have_not_told() -> None:
    """Each task has its sum and the request the sum of all; what it told itself stands if more."""
    counted = with_spending(status(task("a"), cost_usd=0.01), PARTS)
    assert (counted.cost_usd, counted.unpriced_tokens) == (0.03, 1_520)
    assert (counted.tasks[0].cost_usd, counted.tasks[0].turns) == (0.02, 3)
    assert with_spending(status(cost_usd=0.5), PARTS).cost_usd == 0.5


def test_without_a_store_the_agents_at_work_count_by_what_they_tell() -> None:
    """The head of the view has them and its task too, the planner only the head."""
    row = task("a", TaskState.RUNNING, cost_usd=0.25)
    before = snapshot(row, cost_usd=0.5)
    agents = {"a": agent("a", cost_usd=0.25), PLANNER: agent(PLANNER, cost_usd=1.0)}
    counted = with_agents_spending(type(before)(before.status, agents)).status
    assert (counted.cost_usd, counted.tasks[0].cost_usd) == (1.75, 0.5)


def test_the_sum_of_a_cost_table_is_the_cost_that_is_shown_elsewhere() -> None:
    """What an older request has told in one number is a row without a task."""
    printed = table(status(cost_usd=0.05), PARTS)
    assert printed[-2].split()[:2] == ["-", "agents"]
    assert printed[-2].endswith("$0.0200")
    assert printed[-1].endswith("$0.0500, price of 1.5k tokens unknown")
    assert table(status(), ()) == ["No model has been asked yet: $0.00."]


@pytest.mark.parametrize("verb", ["log", "diff", "why", "cost", "show", "list"])
def test_a_help_page_imports_nothing_of_the_service(verb: str) -> None:
    """So that it answers at once."""
    code = (
        "import sys; from cli.command import load_command; "
        f"load_command(['{verb}']); sys.exit('temporalio.client' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_answer_stands_first_and_can_be_pasted_from_a_narrow_terminal() -> None:
    """Right below the question, with its own words whole and every line joined by the shell."""
    program = "/home/ada/tools/orchestcode/.venv/bin/python /home/ada/tools/orchestcode/starter.py"
    asked = approval("review/cart/0", kind=ApprovalKind.REVIEW, detail="a.py | 2 +-")
    shown = snapshot(approvals=(asked,))
    console = Console(file=io.StringIO(), width=60, force_terminal=False)
    console.print(live_view(shown, program=program))
    assert isinstance(console.file, io.StringIO)
    lines = [line.strip() for line in console.file.getvalue().splitlines()]

    first = next(place for place, line in enumerate(lines) if line.startswith("? ")) + 1
    pasted = "\n".join(lines[first:])
    echoed = subprocess.run(
        ["/bin/sh", "-c", f"set -- {pasted.partition('--digest')[0]}\nprintf '%s\\n' \"$@\""],
        capture_output=True,
        text=True,
        check=True,
    )
    name = hints.short_id(REQUEST_ID)
    assert echoed.stdout.split() == [*program.split(), "approve", name, "review/cart/0"]
    assert "a.py | 2 +-" in lines
    assert hints.look_command("oc", REQUEST_ID, asked) == f"oc diff {name} cart"


def test_a_command_that_is_shown_works_in_any_folder_and_shell(tmp_path: Path) -> None:
    """With its interpreter's and its own whole path, and with what says where the service is."""
    folder = tmp_path / "my tools"
    environ = {"TEMPORAL_ADDRESS": "127.0.0.1:7999", "ORCHESTCODE_HOME": ""}
    called = called_as(str(folder / "starter.py"), "/venv/bin/python", environ)
    assert called == f"TEMPORAL_ADDRESS=127.0.0.1:7999 /venv/bin/python '{folder}/starter.py'"
    assert called_as("/usr/bin/env", "/venv/bin/python", {}) == "env"
    assert called_as("/no/such/orchestcode", "/venv/bin/python", {}) == "/no/such/orchestcode"
    other = tmp_path / "env"
    other.touch(mode=0o755)
    assert called_as(str(other), "/venv/bin/python", {}) == str(other)


def test_a_plan_is_asked_about_with_goals_and_acceptance() -> None:
    """As far as there is room; commands that answer it fit beside."""
    one = TaskSpec(id="cart", title="The cart", goal="It counts.", acceptance=("make test",))
    asked = plan_approval(Plan(summary="A plan.", tasks=(one,)), deadline_seconds=1)
    assert asked.detail.splitlines()[2:] == [
        "- cart: The cart; writes nothing",
        "  goal: It counts.",
        "  accepted by: make test",
    ]
    many = tuple(one.model_copy(update={"id": f"t{n}", "goal": "x" * 8_000}) for n in range(64))
    assert len(plan_approval(Plan(summary="s", tasks=many), deadline_seconds=1).detail) <= 4_000


def test_a_delivery_is_asked_about_with_its_checks_and_its_diffstat() -> None:
    """What passed, and what the branch changes."""
    red = CheckResult(command="make", exit_code=0, seconds=1)
    told = delivery_summary((task("a", TaskState.DONE),), (red,), " a.py | 2 +-")
    assert told.splitlines() == ["a: done", "passed: make", " a.py | 2 +-"]


def test_show_lists_what_was_granted_and_answered() -> None:
    """Paths beside those planned with the reason, the lane, and each answer with who gave it."""
    grant = "b.py: no other task writes it"
    row = task("a", TaskState.DONE, granted=(grant,), lane="cloud: its risk is high")
    said = [
        {"approval": "setup/a/1", "choice": "approve", "by": "Ann"},
        {"approval": "review/a/0", "choice": "revise", "by": "Bob", "reason": "in blue"},
    ]
    found = whole_view.lines(whole_view.Whole(status(row, answers=said), {}, (), ()))
    assert f"    may also change {grant}" in found
    assert "    lane: cloud: its risk is high" in found
    place = found.index("Answers:")
    assert found[place + 1 : place + 4] == [
        "  setup/a/1 approved by Ann",
        "  review/a/0 sent back by Bob: in blue",
        "",
    ]


def test_show_lists_what_answers_have_allowed_for_the_rest_of_the_request() -> None:
    """Each rule with who added it and by which answer; nothing where nothing was allowed."""
    rule = {"text": "Bash(make)\x1b", "by": "Ann", "approval": "tool/a/1"}
    row = task("a", TaskState.DONE)
    found = whole_view.lines(whole_view.Whole(status(row, allowed=[rule]), {}, (), ()))
    place = found.index("Allowed for the rest of the request:")

    assert visible(found[place + 1]) == found[place + 1]
    assert found[place + 1].endswith("  by Ann with tool/a/1")
    assert "Allowed" not in "\n".join(whole_view.lines(whole_view.Whole(status(row), {}, (), ())))


def test_a_task_that_a_person_works_on_is_given_back_by_its_own_command() -> None:
    """It stands first, with request and task; the question says the same."""
    asked = hand_off_approval(REQUEST_ID, "work", COMMIT)
    first, *others = hints.answer_commands("orchestcode", REQUEST_ID, asked)
    assert first == "orchestcode resume mend-the-shop-1a2b3c work"
    assert [line.split()[1] for line in others] == ["approve", "reject"]
    assert asked.detail.startswith(f"`{first}` takes in what you made")


def test_what_starts_once_a_request_has_ended_is_seen_until_then() -> None:
    """In the live view's head and, once, as a line."""
    then = "request/then-1a2b3c: document it"
    before, after = snapshot(task("a")), snapshot(task("a"), follow_ups=(then,))
    assert f"then {then}" in changes(before, after, program="x")[0]
    assert changes(after, after, program="x") == []
    console = Console(file=io.StringIO(), width=80)
    console.print(live_view(after, program="x"))
    assert f"then: {then}" in console.file.getvalue()  # type: ignore[attr-defined]
