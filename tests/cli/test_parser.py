"""Specification of what a person may type."""

import pytest

from cli.exit_codes import ExitCode, exit_code
from cli.parser import (
    AddNote,
    Cancel,
    Command,
    ListRequests,
    Respond,
    Run,
    Status,
    Up,
    Watch,
    parse,
)
from contracts.approvals import ApprovalKind, Choice
from contracts.visibility import RunState


@pytest.mark.parametrize(
    ("words", "command"),
    [
        pytest.param(["run", "--repo", ".", "mend it"], Run(".", "mend it"), id="run"),
        pytest.param(["watch", "a"], Watch("a"), id="watch"),
        pytest.param(["status", "a"], Status("a"), id="status"),
        pytest.param(["status", "--json", "a"], Status("a", as_json=True), id="status json"),
        pytest.param(["list"], ListRequests(), id="list"),
        pytest.param(["list", "--json"], ListRequests(as_json=True), id="list json"),
        pytest.param(["approve", "a"], Respond(Choice.APPROVE, "a"), id="approve the only one"),
        pytest.param(
            ["approve", "a", "plan", "--digest", "01ab", "--reason", "fine"],
            Respond(Choice.APPROVE, "a", "plan", "fine", "01ab"),
            id="approve one of several",
        ),
        pytest.param(
            ["reject", "a", "delivery", "--reason", "no"],
            Respond(Choice.REJECT, "a", "delivery", "no"),
            id="reject",
        ),
        pytest.param(
            ["revise", "a", "--feedback", "smaller"],
            Respond(Choice.REVISE, "a", None, "smaller"),
            id="revise",
        ),
        pytest.param(["note", "a", "use tabs"], AddNote("a", "use tabs"), id="note"),
        pytest.param(
            ["note", "a", "use tabs", "--task", "t"],
            AddNote("a", "use tabs", "t"),
            id="note to one",
        ),
        pytest.param(["cancel", "a"], Cancel("a"), id="cancel"),
        pytest.param(["up"], Up(), id="up"),
        pytest.param(["up", "--until-unused"], Up(until_unused=True), id="up until unused"),
    ],
)
def test_every_command_is_understood(words: list[str], command: Command) -> None:
    """Each verb with its words becomes the one value that means it."""
    assert command == parse(words)


def test_every_option_of_run_is_understood() -> None:
    """All options together reach the command; --check may be repeated and keeps its order."""
    words = ["run", "--repo", "/r", "--base", "main", "--branch", "b", "--check", "make test"]
    words += ["--check", "make lint", "--approve", "plan,delivery", "--budget-usd", "2.5"]
    words += ["--max-parallel", "3", "--detach", "mend it"]

    assert parse(words) == Run(
        repository="/r",
        request="mend it",
        base="main",
        branch="b",
        checks=("make test", "make lint"),
        approve=(ApprovalKind.PLAN, ApprovalKind.DELIVERY),
        budget_usd=2.5,
        max_parallel=3,
        detach=True,
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param([], "COMMAND", id="nothing"),
        pytest.param(["fly"], "fly", id="an unknown verb"),
        pytest.param(["run", "mend it"], "--repo", id="no repository"),
        pytest.param(["run", "--repo", "."], "request", id="no request"),
        pytest.param(
            ["run", "--repo", ".", "--approve", "plan,tool", "x"], "tool", id="unknown step"
        ),
        pytest.param(["run", "--repo", ".", "--approve", ",", "x"], "nothing", id="no step"),
        pytest.param(["run", "--repo", ".", "--budget-usd", "0", "x"], "amount", id="no money"),
        pytest.param(["run", "--repo", ".", "--budget-usd", "nan", "x"], "amount", id="not money"),
        pytest.param(["run", "--repo", ".", "--max-parallel", "0", "x"], "1 to 64", id="none"),
        pytest.param(["reject", "a"], "--reason", id="a rejection without a reason"),
        pytest.param(["revise", "a"], "--feedback", id="a revision without feedback"),
        pytest.param(["note", "a"], "TEXT", id="a note without a text"),
        pytest.param(["watch"], "ID", id="no id"),
    ],
)
def test_what_cannot_be_meant_exits_with_usage(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong command line ends with code 2 and one line that names what is wrong."""
    with pytest.raises(SystemExit) as ended:
        parse(words)

    told = capsys.readouterr().err
    assert ended.value.code == ExitCode.USAGE
    assert said in told
    assert told.count("\n") == 1


def test_help_names_exit_codes_and_json_keys(capsys: pytest.CaptureFixture[str]) -> None:
    """The exit codes stand in the help, and the keys of --json in the help of status."""
    for words in (["--help"], ["status", "--help"]):
        with pytest.raises(SystemExit) as ended:
            parse(words)
        assert ended.value.code == 0

    told = capsys.readouterr().out
    for word in ("exit codes:", "3  not finished", "cost_usd", "branch, commit"):
        assert word in told


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
