"""What may be done without asking."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.tool import ToolName
from domain import policy
from domain.registry import CODER, ToolSpec


def spec(name: ToolName) -> ToolSpec:
    """Return a coder's tool."""
    found = CODER.get(name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", [ToolName.VIEW, ToolName.SEARCH, ToolName.FINISH])
def test_reading_needs_no_question(name: ToolName) -> None:
    """What changes nothing is allowed, whatever it looks at."""
    assert isinstance(policy.judge(spec(name), ".git/config"), policy.Allow)


@pytest.mark.parametrize(
    ("path", "decision"),
    [
        pytest.param("src/app.py", policy.Allow, id="a file"),
        pytest.param("docs/ä b.md", policy.Allow, id="an unusual name"),
        pytest.param("../other/app.py", policy.Deny, id="climbs"),
        pytest.param("/etc/passwd", policy.Deny, id="absolute"),
        pytest.param(".git/hooks/pre-commit", policy.Deny, id="inside .git"),
        pytest.param("", policy.Deny, id="empty"),
        pytest.param(".vscode/tasks.json", policy.Ask, id="an editor's tasks"),
        pytest.param(".github/workflows/ci.yml", policy.Ask, id="a workflow"),
    ],
)
def test_an_edit_is_judged_by_its_path(path: str, decision: type) -> None:
    """Inside the worktree is free, outside is denied, what runs code elsewhere is asked."""
    judged = policy.judge(spec(ToolName.EDIT), path)

    assert isinstance(judged, decision)
    assert judged.rule


def test_commands_run_in_the_sandbox_without_a_question() -> None:
    """The sandbox is the boundary, not the words of the command."""
    judged = policy.judge(spec(ToolName.RUN_COMMAND), "rm -rf /")

    assert judged == policy.Allow("runs in the sandbox")


@given(st.text(max_size=60))
def test_every_edit_is_decided_with_a_reason(path: str) -> None:
    """Any path at all gets a decision, and a refusal or question says why."""
    judged = policy.judge(spec(ToolName.EDIT), path)

    assert isinstance(judged, policy.Allow) or judged.why


@given(st.text(max_size=30))
def test_nothing_that_climbs_is_allowed(rest: str) -> None:
    """No spelling after a step upwards leads back to permission."""
    assert not isinstance(policy.judge(spec(ToolName.EDIT), f"../{rest}"), policy.Allow)
