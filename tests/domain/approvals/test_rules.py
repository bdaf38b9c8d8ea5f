"""What may be done without asking."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.base import HumanInput
from contracts.tools import ApprovalClass, RetryClass
from contracts.verdicts import CallVerdict, Effect, Permission
from domain.approvals import rules
from domain.tools.registry import ToolSpec

LONG = "x" * 5_000


def judge(approval: ApprovalClass, subject: str) -> CallVerdict:
    """Judge a call of a tool of this class."""
    spec = ToolSpec(
        name="tool",
        description="",
        arguments=HumanInput,
        effect=Effect.WRITE,
        retry=RetryClass.JOURNALED,
        approval=approval,
        subject="subject",
    )
    return rules.judge(spec, {"subject": subject})


def test_a_tool_that_changes_nothing_needs_no_question() -> None:
    """It is allowed, whatever it looks at."""
    assert judge(ApprovalClass.FREE, ".git/config").permission is Permission.ALLOW


@pytest.mark.parametrize(
    ("path", "permission"),
    [
        pytest.param("src/app.py", Permission.ALLOW, id="a file"),
        pytest.param("docs/ä b.md", Permission.ALLOW, id="an unusual name"),
        pytest.param("../other/app.py", Permission.DENY, id="climbs"),
        pytest.param("/etc/passwd", Permission.DENY, id="absolute"),
        pytest.param(".git/hooks/pre-commit", Permission.DENY, id="inside .git"),
        pytest.param("", Permission.DENY, id="empty"),
        pytest.param(".vscode/tasks.json", Permission.ASK, id="an editor's tasks"),
        pytest.param(".github/workflows/ci.yml", Permission.ASK, id="a workflow"),
        pytest.param(f"{LONG}/.envrc", Permission.ASK, id="beyond what a person is shown"),
    ],
)
def test_a_change_of_a_file_is_judged_by_its_whole_path(path: str, permission: Permission) -> None:
    """Inside the worktree is free, outside is denied, what runs code elsewhere is asked."""
    judged = judge(ApprovalClass.PATH, path)

    assert judged.permission is permission
    assert judged.rule


def test_commands_run_in_the_sandbox_without_a_question() -> None:
    """The sandbox is the boundary, not the words of the command."""
    judged = judge(ApprovalClass.COMMAND, "rm -rf /")

    assert judged == CallVerdict(rule="runs in the sandbox")


def test_a_tool_without_a_rule_asks() -> None:
    """No match asks, and says that no rule matched."""
    judged = judge(ApprovalClass.ASK, "anything")

    assert (judged.permission, judged.rule) == (Permission.ASK, "no rule")


@given(st.text(max_size=60))
def test_every_change_of_a_file_is_decided_with_a_reason(path: str) -> None:
    """Any path at all gets a decision, and a refusal or question says why."""
    judged = judge(ApprovalClass.PATH, path)

    assert judged.permission is Permission.ALLOW or judged.reason


@given(st.text(max_size=30))
def test_a_path_that_climbs_is_never_allowed(rest: str) -> None:
    """No spelling after a step upwards leads back to permission."""
    assert judge(ApprovalClass.PATH, f"../{rest}").permission is not Permission.ALLOW
