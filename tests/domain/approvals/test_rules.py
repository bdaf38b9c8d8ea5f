"""What may be done without asking."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.tools import ToolName
from domain.approvals import rules
from domain.tools.registry import CODER, ToolSpec


def spec(name: ToolName) -> ToolSpec:
    """Return a coder's tool."""
    found = CODER.get(name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", [ToolName.VIEW, ToolName.SEARCH, ToolName.FINISH])
def test_reading_needs_no_question(name: ToolName) -> None:
    """What changes nothing is allowed, whatever it looks at."""
    assert isinstance(rules.judge(spec(name), ".git/config"), rules.Allow)


@pytest.mark.parametrize(
    ("path", "decision"),
    [
        pytest.param("src/app.py", rules.Allow, id="a file"),
        pytest.param("docs/ä b.md", rules.Allow, id="an unusual name"),
        pytest.param("../other/app.py", rules.Deny, id="climbs"),
        pytest.param("/etc/passwd", rules.Deny, id="absolute"),
        pytest.param(".git/hooks/pre-commit", rules.Deny, id="inside .git"),
        pytest.param("", rules.Deny, id="empty"),
        pytest.param(".vscode/tasks.json", rules.Ask, id="an editor's tasks"),
        pytest.param(".github/workflows/ci.yml", rules.Ask, id="a workflow"),
    ],
)
def test_an_edit_is_judged_by_its_path(path: str, decision: type) -> None:
    """Inside the worktree is free, outside is denied, what runs code elsewhere is asked."""
    judged = rules.judge(spec(ToolName.EDIT), path)

    assert isinstance(judged, decision)
    assert judged.rule


def test_commands_run_in_the_sandbox_without_a_question() -> None:
    """The sandbox is the boundary, not the words of the command."""
    judged = rules.judge(spec(ToolName.RUN_COMMAND), "rm -rf /")

    assert judged == rules.Allow("runs in the sandbox")


@given(st.text(max_size=60))
def test_every_edit_is_decided_with_a_reason(path: str) -> None:
    """Any path at all gets a decision, and a refusal or question says why."""
    judged = rules.judge(spec(ToolName.EDIT), path)

    assert isinstance(judged, rules.Allow) or judged.why


@given(st.text(max_size=30))
def test_nothing_that_climbs_is_allowed(rest: str) -> None:
    """No spelling after a step upwards leads back to permission."""
    assert not isinstance(rules.judge(spec(ToolName.EDIT), f"../{rest}"), rules.Allow)
