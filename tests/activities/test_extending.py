"""The recipes of docs/extending.md: a tool in one file, a role in one file."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from activities import tools
from activities.agent_setup import AgentSetup
from activities.tools.registry import tools_by_name
from contracts.permissions import RequestPermissions
from contracts.verdicts import Effect, Permission
from domain.policy.judge import Policy, judge
from domain.tools.registry import check
from infra.roles.files import BUILT_IN, RoleError, RoleFiles
from tests.infra.bench import Agent

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"


def block(language: str) -> str:
    """Return the page's block of a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```\n", PAGE.read_text("utf-8"), re.DOTALL)
    return str(found)


@pytest.fixture
def extended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that counts as one of tools and of roles, with one file of each."""
    (tmp_path / "count_lines.py").write_text(block("python"))
    (tmp_path / "triager.md").write_text(block("markdown"))
    monkeypatch.setattr(tools, "__path__", [*tools.__path__, str(tmp_path)])
    tools_by_name.cache_clear()
    yield tmp_path
    tools_by_name.cache_clear()


@pytest.fixture
def setup(extended: Path) -> AgentSetup:
    """How agents are set up with both files."""
    return AgentSetup(RoleFiles(extended, BUILT_IN), model_for=lambda _role: "claude-opus-5-5")


async def test_a_tool_is_one_file(extended: Path, agent: Agent) -> None:
    """The file alone makes it known by name, judged, and carried out in a worktree."""
    assert extended.is_dir()
    tool = tools_by_name()["count_lines"]
    await agent.edit("create", "n.txt", file_text="1\n2\n3\n")

    counted = (await agent.read(("count_lines", {"path": "n.txt"})))[0]
    missing = (await agent.read(("count_lines", {"path": "no.txt"})))[0]

    assert (counted.outcome, counted.text) == ("done", "3 lines")
    assert (missing.outcome, missing.text) == ("failed", "Error: File not found: no.txt")
    assert (
        judge(Policy(RequestPermissions(), {}), tool.spec, {"path": "n.txt"}).permission
        is Permission.ALLOW
    )


def test_a_role_is_one_file(setup: AgentSetup) -> None:
    """The file alone makes an agent of its own prompt, tools, output and limits."""
    agent = setup.configure("triager")

    assert agent.system.startswith("You read one report")
    assert [tool.name for tool in agent.tools] == [
        "count_lines",
        "finish",
        "handoff",
        "search",
        "view",
    ]
    assert (agent.limits.turns, agent.limits.seconds) == (12, 600)
    assert agent.model == "claude-opus-5-5"
    assert {tool.effect for tool in agent.tools} == {Effect.READ, Effect.END}


def test_what_a_role_hands_in_is_checked_by_its_own_fields(setup: AgentSetup) -> None:
    """Every field is required, and another one is refused."""
    tools = setup.tools(setup.configure("triager"))
    whole = {"label": "bug", "reason": "It crashes."}

    assert check(tools, "finish", whole).model_dump() == whole  # type: ignore[union-attr]
    for wrong in ({"label": "bug"}, {**whole, "more": "x"}, {**whole, "label": ""}):
        assert isinstance(check(tools, "finish", wrong), str)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("---\ndescription", "description", "begin it with a line of three hyphens"),
        ("turns: 12", "turns: many", "limits.turns: Input should be a valid integer"),
        ("[count_lines,", "[fly,", "names the tool 'fly'; there are apply_patch, count_lines"),
        ("limits:", "limit:", "limits: Field required"),
        ("tools: [", "tools: {", "is not YAML"),
        ("  fields:\n", "  field:\n", "output"),
    ],
)
def test_a_role_that_cannot_be_used_says_why(
    extended: Path, setup: AgentSetup, old: str, new: str, sentence: str
) -> None:
    """The sentence names the file and what to change."""
    file = extended / "triager.md"
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))

    with pytest.raises(RoleError, match=re.escape(sentence)) as caught:
        setup.configure("triager")
    assert "triager" in str(caught.value)


def test_an_unknown_role_names_those_that_there_are(setup: AgentSetup) -> None:
    """A typing error is seen at once."""
    with pytest.raises(RoleError, match="there is no role 'codr'; there are coder, planner, rev"):
        setup.configure("codr")
