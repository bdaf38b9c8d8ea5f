"""Tools by name: what a model is told of them, and what comes of its arguments."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from activities.agent_setup import AgentSetup
from activities.tools.edit import EditArguments
from activities.tools.registry import tools_by_name
from contracts import roles
from contracts.tools import ApprovalClass, RetryClass
from contracts.verdicts import Effect
from domain.tools.registry import ToolSpec, check
from infra.roles.files import RoleFiles

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


ROLES = (roles.PLANNER, roles.CODER, roles.REVIEWER)
SETUP = AgentSetup(RoleFiles(), model_for=lambda _role: "claude-opus-5-5")


def tools_of(role: str) -> dict[str, ToolSpec]:
    """Return the tools of a role's agent."""
    return SETUP.tools(SETUP.configure(role))


CODER = tools_of(roles.CODER)
EVERYBODYS = (
    *("handoff", "history_read", "history_search", "memory_search"),
    *("run_command", "search", "view"),
)


@pytest.mark.parametrize(
    ("role", "names"),
    [
        pytest.param(roles.PLANNER, ["finish", *EVERYBODYS], id="planner"),
        pytest.param(
            roles.CODER,
            sorted(
                [
                    *("apply_patch", "edit", "finish", "install_dependencies", "remember"),
                    *EVERYBODYS,
                ]
            ),
            id="coder",
        ),
        pytest.param(roles.REVIEWER, sorted(["finish", "remember", *EVERYBODYS]), id="reviewer"),
    ],
)
def test_each_role_has_its_tools_in_one_order(role: str, names: list[str]) -> None:
    """Sorted by name, so that the bytes a model is told are the same in every process."""
    assert [tool.name for tool in SETUP.configure(role).tools] == names
    assert sorted(tools_of(role)) == names


@pytest.mark.parametrize("role", ROLES)
def test_a_definition_is_a_json_schema_of_an_object(role: str) -> None:
    """The Messages API takes each as it is."""
    for spec in tools_of(role).values():
        told = json.loads(json.dumps(spec.definition()))

        assert told.keys() == {"name", "description", "input_schema"}
        assert told["input_schema"]["type"] == "object"
        assert told["input_schema"].get("additionalProperties") is not True
        assert spec.subject in told["input_schema"]["properties"]


@pytest.mark.parametrize("role", ROLES)
def test_a_definition_says_nothing_twice(role: str) -> None:
    """No schema has a title made of its name, which each request would pay for; arguments that are
    called so are there.
    """
    for spec in tools_of(role).values():
        assert '"title": "' not in json.dumps(spec.definition())
    plan = tools_of(roles.PLANNER)["finish"].definition()["input_schema"]
    assert isinstance(plan, dict)
    assert '"title": {"type": "string"}' in json.dumps(plan)


@pytest.mark.parametrize("role", ROLES)
def test_whatever_writes_is_journaled_and_judged(role: str) -> None:
    """No tool changes files without a journal entry and a rule."""
    for spec in tools_of(role).values():
        writes = spec.effect is Effect.WRITE

        assert (spec.retry is RetryClass.JOURNALED) == writes
        # It changes no file: a person decides on what it proposes.
        changes = writes and spec.name != "remember"
        assert (spec.approval is not ApprovalClass.FREE) == changes


def test_a_name_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second tool of the same name, or one called `finish`, is a mistake of ours."""
    view = tools_by_name()["view"]
    for name in ("search", "finish"):
        spec = dataclasses.replace(view.spec, name=name)
        monkeypatch.setattr("activities.tools.view.TOOL", dataclasses.replace(view, spec=spec))
        with pytest.raises(ValueError, match=f"two tools are called '{name}'"):
            tools_by_name.__wrapped__()


def test_arguments_that_fit_come_back_typed() -> None:
    """What is run is what was validated."""
    given_ = {"command": "create", "path": "a.py", "file_text": "x\n"}

    assert check(CODER, "edit", given_) == EditArguments(
        command="create", path="a.py", file_text="x\n"
    )


@given(st.sampled_from([*tools_by_name(), "finish", "fly", ""]), JSON)
def test_any_arguments_are_either_checked_or_a_sentence(name: str, arguments: object) -> None:
    """Whatever a model sends, the answer is arguments or a problem of bounded length, never an
    error.
    """
    checked = check(CODER, name, arguments)

    assert isinstance(checked, BaseModel | str)
    if isinstance(checked, str):
        assert 0 < len(checked) <= 1_000


def test_a_problem_names_the_argument() -> None:
    """The model can mend what it is told of."""
    checked = check(CODER, "view", {"path": "a", "view_range": [1]})

    assert isinstance(checked, str)
    assert "view_range" in checked
