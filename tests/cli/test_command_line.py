"""What a person may type: values, refusals, help pages."""

import io
import time
from pathlib import Path
from typing import Any

import pytest

from cli.client import RequestOutcome
from cli.command import CommandLine, load_command
from cli.command_files import split_command
from cli.context import CliContext
from cli.exit_codes import ExitCode
from cli.main import main
from contracts.approvals import ApprovalKind
from contracts.budget import OnLimit
from contracts.lanes import Lane
from contracts.model_choice import Effort
from contracts.visibility import RunState

RUN_DEFAULTS = {
    "after": None,
    "thread": None,
    "base": None,
    "branch": None,
    "check": (),
    "setup": (),
    "no_setup": False,
    "approve": (),
    "budget_usd": None,
    "on_limit": None,
    "max_parallel": None,
    "model": None,
    "model_planner": None,
    "model_coder": None,
    "model_reviewer": None,
    "fallback_model": None,
    "until": None,
    "rounds": None,
    "deadline": None,
    "effort": None,
    "window_tokens": None,
    "lane": None,
    "untrusted": False,
    "detach": False,
}


def values_of(words: list[str]) -> dict[str, Any]:
    """Return the arguments that the words give to their command."""
    name, rest = split_command(words)
    bound = CommandLine(load_command(name).command, program="").parse(rest)
    bound.apply_defaults()
    return bound.arguments


def ended(words: list[str]) -> tuple[ExitCode, str, str]:
    """Execute the words; return the exit code and what was printed on stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    context = CliContext(environ={}, folder=Path(), now=time.time, stdout=out, stderr=err)
    code = main(words, context)
    return code, out.getvalue(), err.getvalue()


def refusal_of(words: list[str]) -> str:
    """Return the sentence that refuses the words; nothing is printed on standard output."""
    code, out, err = ended(words)
    assert (code, out) == (ExitCode.USAGE, "")
    return err


def help_of(words: list[str]) -> str:
    """Return the help page that the words ask for; nothing is printed on standard error."""
    code, out, err = ended(words)
    assert (code, err) == (ExitCode.DELIVERED, "")
    return out


def run(**values: object) -> dict[str, object]:
    """Return the arguments of `run` in the folder `.` with the request `mend it`."""
    return {"request": "mend it", "repo": ".", **RUN_DEFAULTS, **values}


def up(**values: bool) -> dict[str, object]:
    """Return the arguments of `up`."""
    return {"detach": False, "until_idle": False, "server_only": False, **values}


def answer(**values: object) -> dict[str, object]:
    """Return the arguments of `approve` or `reject` for the request `a`."""
    return {"request_id": "a", "approvals": (), "every": False, "digest": None, **values}


def approve(**values: object) -> dict[str, object]:
    """Return the arguments of `approve` for the request `a`."""
    return answer(**{"reason": "", "for_request": False, **values})


@pytest.mark.parametrize(
    ("words", "values"),
    [
        pytest.param(["run", "--repo", ".", "mend it"], run(), id="run"),
        pytest.param(["run", "mend it", "--repo=."], run(), id="an equals sign"),
        pytest.param(["watch", "a"], {"request_id": "a", "task": None}, id="watch"),
        pytest.param(["status", "a"], {"request_id": "a", "as_json": False}, id="status"),
        pytest.param(
            ["status", "--json", "a"], {"request_id": "a", "as_json": True}, id="status json"
        ),
        pytest.param(
            ["status", "a", "--json"], {"request_id": "a", "as_json": True}, id="status, json"
        ),
        pytest.param(["list"], {"whole": False, "as_json": False}, id="list"),
        pytest.param(["list", "--all"], {"whole": True, "as_json": False}, id="list all"),
        pytest.param(["list", "--json"], {"whole": False, "as_json": True}, id="list json"),
        pytest.param(
            ["gc", "--days", "7", "--budget-mb", "500"],
            {"dry_run": False, "yes": False, "days": 7, "budget_mb": 500},
            id="gc",
        ),
        pytest.param(
            ["forget", "a", "--yes"],
            {"request_id": "a", "dry_run": False, "yes": True},
            id="forget",
        ),
        pytest.param(["approve", "a"], approve(), id="approve the only one"),
        pytest.param(
            ["approve", "a", "plan", "--digest", "01ab", "--reason", "fine"],
            approve(approvals=("plan",), reason="fine", digest="01ab"),
            id="approve one of several",
        ),
        pytest.param(
            ["approve", "--digest", "01ab", "a", "plan"],
            approve(approvals=("plan",), digest="01ab"),
            id="options first",
        ),
        pytest.param(
            ["approve", "a", "plan", "review/b/0"],
            approve(approvals=("plan", "review/b/0")),
            id="approve several",
        ),
        pytest.param(["approve", "a", "--all"], approve(every=True), id="approve all"),
        pytest.param(
            ["approve", "a", "--for-request"], approve(for_request=True), id="for the request"
        ),
        pytest.param(
            ["reject", "a", "delivery", "--reason", "no"],
            answer(approvals=("delivery",), reason="no"),
            id="reject",
        ),
        pytest.param(
            ["revise", "a", "--feedback", "smaller"],
            {"request_id": "a", "approval": None, "digest": None, "feedback": "smaller"},
            id="revise",
        ),
        pytest.param(
            ["note", "a", "use tabs"],
            {"request_id": "a", "text": "use tabs", "task": None},
            id="note",
        ),
        pytest.param(
            ["note", "a", "use tabs", "--task", "t"],
            {"request_id": "a", "text": "use tabs", "task": "t"},
            id="note to one",
        ),
        pytest.param(["cancel", "a"], {"request_id": "a"}, id="cancel"),
        pytest.param(["reconcile"], {"dry_run": False, "forgotten": False}, id="reconcile"),
        pytest.param(
            ["reconcile", "--forgotten", "--dry-run"],
            {"dry_run": True, "forgotten": True},
            id="reconcile, all options",
        ),
        pytest.param(["up"], up(), id="up"),
        pytest.param(["up", "--detach"], up(detach=True), id="up in the background"),
        pytest.param(["up", "--until-idle"], up(until_idle=True), id="up until idle"),
        pytest.param(["up", "--server-only"], up(server_only=True), id="up without a worker"),
        pytest.param(["stop"], {}, id="stop"),
        pytest.param(["doctor"], {"online": False, "as_json": False}, id="doctor"),
        pytest.param(["completion", "bash"], {"shell": "bash"}, id="completion"),
        pytest.param(["service", "status"], {"as_json": False}, id="service status"),
        pytest.param(["service", "install"], {}, id="service install"),
    ],
)
def test_every_command_is_understood(words: list[str], values: dict[str, object]) -> None:
    """Each verb with its words becomes the values of its parameters."""
    assert values == values_of(words)


def test_every_option_of_run_is_understood() -> None:
    """All options together reach the command; --check may be repeated and keeps its order."""
    words = [
        "run",
        "--repo",
        "/r",
        "--after",
        "a",
        "--base",
        "main",
        "--branch",
        "b",
        "--check",
        "make test",
    ]
    words += ["--check", "make lint", "--approve", "plan,delivery", "--budget-usd", "2.5"]
    words += ["--on-limit", "finish", "--thread", "t"]
    words += ["--model", "m", "--model-planner", "p", "--model-coder", "c"]
    words += ["--model-reviewer", "r", "--fallback-model", "f", "--effort", "xhigh"]
    words += ["--window-tokens", "50000", "--lane", "cloud", "--untrusted"]
    words += ["--until", "make it", "--rounds", "4", "--deadline", "90m"]
    words += ["--setup", "npm ci", "--no-setup"]
    words += ["--max-parallel", "3", "--detach", "mend it"]

    assert values_of(words) == {
        "repo": "/r",
        "after": "a",
        "thread": "t",
        "request": "mend it",
        "base": "main",
        "branch": "b",
        "check": ("make test", "make lint"),
        "setup": ("npm ci",),
        "no_setup": True,
        "approve": (ApprovalKind.PLAN, ApprovalKind.DELIVERY),
        "budget_usd": 2.5,
        "on_limit": OnLimit.FINISH,
        "max_parallel": 3,
        "model": "m",
        "model_planner": "p",
        "model_coder": "c",
        "model_reviewer": "r",
        "fallback_model": "f",
        "effort": Effort.XHIGH,
        "window_tokens": 50_000,
        "lane": Lane.CLOUD,
        "untrusted": True,
        "until": "make it",
        "rounds": 4,
        "deadline": 90,
        "detach": True,
    }


@pytest.mark.parametrize(
    ("words", "values"),
    [
        pytest.param(["--check", "-m pytest -q"], {"check": ("-m pytest -q",)}, id="a blank"),
        pytest.param(["--check=-x"], {"check": ("-x",)}, id="a dash after an equals sign"),
        pytest.param(["--check", "-1"], {"check": ("-1",)}, id="a negative number"),
        pytest.param(["--check", "a=b"], {"check": ("a=b",)}, id="an equals sign in a value"),
        pytest.param(["--base", ""], {"base": ""}, id="an empty value"),
        pytest.param(["--base="], {"base": ""}, id="nothing after an equals sign"),
        pytest.param(["--base", "a", "--base", "b"], {"base": "b"}, id="the last of two counts"),
        pytest.param(["--detach", "--detach"], {"detach": True}, id="a flag twice"),
        pytest.param(["--budget-usd", "1e2"], {"budget_usd": 100.0}, id="an exponent"),
        pytest.param(["--max-parallel", "03"], {"max_parallel": 3}, id="a leading zero"),
        pytest.param(
            ["--approve", " review, plan,review"],
            {"approve": (ApprovalKind.REVIEW, ApprovalKind.PLAN)},
            id="steps with blanks, twice",
        ),
        pytest.param(
            ["--approve", "plan", "--approve", "review"],
            {"approve": (ApprovalKind.REVIEW,)},
            id="the last steps count",
        ),
    ],
)
def test_every_spelling_of_an_option_is_understood(
    words: list[str], values: dict[str, object]
) -> None:
    """A value may begin with a dash when it cannot be an option; the last of several counts."""
    assert values_of(["run", "--repo", ".", *words, "mend it"]) == run(**values)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        pytest.param(["- use tabs"], "- use tabs", id="a list item"),
        pytest.param(["-m is an option"], "-m is an option", id="a dash and a blank"),
        pytest.param(["--task is an option"], "--task is an option", id="an option and a blank"),
        pytest.param(["-5"], "-5", id="a negative number"),
        pytest.param(["-"], "-", id="a dash"),
        pytest.param(["--", "--task"], "--task", id="after two dashes"),
        pytest.param(["--", "-h"], "-h", id="no help after two dashes"),
        pytest.param(["a = b"], "a = b", id="an equals sign"),
    ],
)
def test_a_text_may_begin_with_a_dash(words: list[str], text: str) -> None:
    """A text with a blank, a number, or what follows `--` is a text and no option."""
    assert values_of(["note", "a", *words])["text"] == text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param([], "COMMAND", id="nothing"),
        pytest.param(["fly"], "fly", id="an unknown verb"),
        pytest.param(["--json"], "COMMAND", id="an option without a verb"),
        pytest.param(["run", "--after", "a", "--base", "b", "x"], "--after", id="two bases"),
        pytest.param(["run", "x", "--repo"], "--repo", id="no value"),
        pytest.param(["run", "--repo", "--detach", "x"], "--repo", id="an option for a value"),
        pytest.param(["run", "--repo", ".", "--check", "-x", "y"], "--check", id="a dash"),
        pytest.param(
            ["run", "--repo", ".", "--approve", "plan,tool", "x"],
            "tool is not among plan, review, delivery",
            id="unknown step",
        ),
        pytest.param(["run", "--repo", ".", "--approve", ",", "x"], "nothing", id="no step"),
        pytest.param(["run", "--repo", ".", "--budget-usd", "0", "x"], "amount", id="no money"),
        pytest.param(["run", "--repo", ".", "--budget-usd", "nan", "x"], "amount", id="not money"),
        pytest.param(["run", "--repo", ".", "--budget-usd", "-1", "x"], "amount", id="a debt"),
        pytest.param(["run", "--repo", ".", "--max-parallel", "0", "x"], "1 to 64", id="none"),
        pytest.param(["run", "--repo", ".", "--max-parallel", "2.0", "x"], "1 to 64", id="half"),
        pytest.param(["reject", "a"], "--reason", id="a rejection without a reason"),
        pytest.param(["revise", "a"], "--feedback", id="a revision without feedback"),
        pytest.param(
            ["revise", "a", "--feedback", "x", "--reason", "y"],
            "--reason",
            id="another answer's option",
        ),
        pytest.param(["note", "a"], "TEXT", id="a note without a text"),
        pytest.param(["watch"], "ID", id="no id"),
        pytest.param(["gc", "--days", "0"], "--days", id="no days"),
        pytest.param(["watch", "a", "b"], "b", id="a word too many"),
        pytest.param(["list", "--jsn"], "--jsn", id="an unknown option"),
        pytest.param(["list", "--js"], "--js", id="an abbreviated option"),
        pytest.param(["run", "--repo", ".", "--no-detach", "x"], "--no-detach", id="a negation"),
    ],
)
def test_what_cannot_be_meant_exits_with_usage(words: list[str], said: str) -> None:
    """A wrong command line ends with code 2 and one line that names what is wrong."""
    printed = refusal_of(words)

    assert printed.startswith("orchestcode: ")
    assert said.casefold() in printed.casefold()
    assert printed.count("\n") == 1
    assert "--help" in printed


def test_help_names_exit_codes_and_json_keys() -> None:
    """The exit codes stand in the help, and the keys of --json in the help of status."""
    printed = help_of(["--help"]) + help_of(["status", "--help"])

    for word in ("Exit codes:", "3  not finished", "cost_usd", "branch, commit"):
        assert word in printed


@pytest.mark.parametrize(
    "words",
    [
        ["-h"],
        ["--help"],
        ["run", "-h"],
        ["run", "--help"],
        ["run", "--repo", ".", "x", "--help"],
        ["note", "-h", "a", "text"],
    ],
    ids=" ".join,
)
def test_help_may_be_asked_for_anywhere(words: list[str]) -> None:
    """-h and --help show the page of the verb, or of all verbs, instead of doing anything."""
    assert help_of(words).startswith("Usage: starter.py")


@pytest.mark.parametrize("state", list(RunState))
def test_exit_codes_tell_how_a_request_ended(state: RunState) -> None:
    """Delivered is 0, failed and cancelled are 1, everything unfinished is 3; a refusal is 2."""
    codes = {
        RunState.DONE: ExitCode.DELIVERED,
        RunState.FAILED: ExitCode.FAILED,
        RunState.CANCELLED: ExitCode.FAILED,
    }

    assert RequestOutcome(None, state).exit_code == codes.get(state, ExitCode.WAITING)
    assert RequestOutcome(None, RunState.FAILED, refused=True).exit_code == ExitCode.USAGE
