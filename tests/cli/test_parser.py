"""Specification of what a person may type: values, refusals, help."""

from dataclasses import asdict
from typing import Any

import pytest

from cli.exit_codes import ExitCode, exit_code
from cli.parser import parse
from contracts.approvals import ApprovalKind
from contracts.visibility import RunState

RUN_DEFAULTS = {
    "base": None,
    "branch": None,
    "checks": (),
    "approve": (),
    "budget_usd": None,
    "max_parallel": None,
    "detach": False,
}


def values_of(words: list[str]) -> dict[str, Any]:
    """Return the parameters that the words give to their command."""
    return asdict(parse(words))


def refusal_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the sentence that refuses the words; nothing is printed on standard output."""
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == ExitCode.USAGE
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


def help_of(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Return the help page that the words ask for; nothing is printed on standard error."""
    with pytest.raises(SystemExit) as ended:
        parse(words)
    assert ended.value.code == ExitCode.DELIVERED
    printed = capsys.readouterr()
    assert printed.err == ""
    return printed.out


def run(**values: object) -> dict[str, object]:
    """Return the parameters of `run` in the folder `.` with the request `mend it`."""
    return {"repository": ".", "request": "mend it", **RUN_DEFAULTS, **values}


def answer(choice: str, **values: object) -> dict[str, object]:
    """Return the parameters of an answer to the request `a`."""
    defaults = {"approval": None, "reason": "", "digest": None}
    return {"choice": choice, "id": "a", **defaults, **values}


@pytest.mark.parametrize(
    ("words", "values"),
    [
        pytest.param(["run", "--repo", ".", "mend it"], run(), id="run"),
        pytest.param(["run", "mend it", "--repo=."], run(), id="an equals sign"),
        pytest.param(["watch", "a"], {"id": "a"}, id="watch"),
        pytest.param(["status", "a"], {"id": "a", "as_json": False}, id="status"),
        pytest.param(["status", "--json", "a"], {"id": "a", "as_json": True}, id="status json"),
        pytest.param(["status", "a", "--json"], {"id": "a", "as_json": True}, id="status, json"),
        pytest.param(["list"], {"as_json": False}, id="list"),
        pytest.param(["list", "--json"], {"as_json": True}, id="list json"),
        pytest.param(["approve", "a"], answer("approve"), id="approve the only one"),
        pytest.param(
            ["approve", "a", "plan", "--digest", "01ab", "--reason", "fine"],
            answer("approve", approval="plan", reason="fine", digest="01ab"),
            id="approve one of several",
        ),
        pytest.param(
            ["approve", "--digest", "01ab", "a", "plan"],
            answer("approve", approval="plan", digest="01ab"),
            id="options first",
        ),
        pytest.param(
            ["reject", "a", "delivery", "--reason", "no"],
            answer("reject", approval="delivery", reason="no"),
            id="reject",
        ),
        pytest.param(
            ["revise", "a", "--feedback", "smaller"],
            answer("revise", reason="smaller"),
            id="revise",
        ),
        pytest.param(
            ["note", "a", "use tabs"], {"id": "a", "text": "use tabs", "task": None}, id="note"
        ),
        pytest.param(
            ["note", "a", "use tabs", "--task", "t"],
            {"id": "a", "text": "use tabs", "task": "t"},
            id="note to one",
        ),
        pytest.param(["cancel", "a"], {"id": "a"}, id="cancel"),
        pytest.param(["reconcile"], {"dry_run": False, "forgotten": False}, id="reconcile"),
        pytest.param(
            ["reconcile", "--forgotten", "--dry-run"],
            {"dry_run": True, "forgotten": True},
            id="reconcile, all options",
        ),
        pytest.param(["up"], {"until_unused": False}, id="up"),
        pytest.param(["up", "--until-unused"], {"until_unused": True}, id="up until unused"),
    ],
)
def test_every_command_is_understood(words: list[str], values: dict[str, object]) -> None:
    """Each verb with its words becomes the values of its parameters."""
    assert values == values_of(words)


def test_every_option_of_run_is_understood() -> None:
    """All options together reach the command; --check may be repeated and keeps its order."""
    words = ["run", "--repo", "/r", "--base", "main", "--branch", "b", "--check", "make test"]
    words += ["--check", "make lint", "--approve", "plan,delivery", "--budget-usd", "2.5"]
    words += ["--max-parallel", "3", "--detach", "mend it"]

    assert values_of(words) == {
        "repository": "/r",
        "request": "mend it",
        "base": "main",
        "branch": "b",
        "checks": ("make test", "make lint"),
        "approve": (ApprovalKind.PLAN, ApprovalKind.DELIVERY),
        "budget_usd": 2.5,
        "max_parallel": 3,
        "detach": True,
    }


@pytest.mark.parametrize(
    ("words", "values"),
    [
        pytest.param(["--check", "-m pytest -q"], {"checks": ("-m pytest -q",)}, id="a blank"),
        pytest.param(["--check=-x"], {"checks": ("-x",)}, id="a dash after an equals sign"),
        pytest.param(["--check", "-1"], {"checks": ("-1",)}, id="a negative number"),
        pytest.param(["--check", "a=b"], {"checks": ("a=b",)}, id="an equals sign in a value"),
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
        pytest.param(["run", "mend it"], "--repo", id="no repository"),
        pytest.param(["run", "--repo", "."], "request", id="no request"),
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
        pytest.param(["watch", "a", "b"], "b", id="a word too many"),
        pytest.param(["list", "--jsn"], "--jsn", id="an unknown option"),
        pytest.param(["list", "--js"], "--js", id="an abbreviated option"),
        pytest.param(["run", "--repo", ".", "--no-detach", "x"], "--no-detach", id="a negation"),
    ],
)
def test_what_cannot_be_meant_exits_with_usage(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong command line ends with code 2 and one line that names what is wrong."""
    told = refusal_of(words, capsys)

    assert told.startswith("orchestcode: ")
    assert said.casefold() in told.casefold()
    assert told.count("\n") == 1
    assert "--help" in told


def test_help_names_exit_codes_and_json_keys(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit codes stand in the help, and the keys of --json in the help of status."""
    told = help_of(["--help"], capsys) + help_of(["status", "--help"], capsys)

    for word in ("exit codes:", "3  not finished", "cost_usd", "branch, commit"):
        assert word in told


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
def test_help_may_be_asked_for_anywhere(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """-h and --help show the page of the verb, or of all verbs, instead of doing anything."""
    assert help_of(words, capsys).startswith("usage: starter.py")


@pytest.mark.parametrize("state", list(RunState))
def test_exit_codes_tell_how_a_request_ended(state: RunState) -> None:
    """Delivered is 0, failed and cancelled are 1, everything unfinished is 3; a refusal is 2."""
    ends = {
        RunState.DONE: ExitCode.DELIVERED,
        RunState.FAILED: ExitCode.FAILED,
        RunState.CANCELLED: ExitCode.FAILED,
    }

    assert ends.get(state, ExitCode.WAITING) == exit_code(state, refused=False)
    assert exit_code(RunState.FAILED, refused=True) == ExitCode.USAGE
