"""Calls in the words of other harnesses, and what a call that does not fit is answered."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from typing_extensions import override

from activities.tools.registry import tools_by_name
from domain.agent.outputs import OUTPUTS, finish_tool, output_of
from domain.tools.registry import ToolSpec, check, understood

CODER = {
    **{name: tool.spec for name, tool in tools_by_name().items()},
    "finish": finish_tool(OUTPUTS["change"]),
}
READER = {name: CODER[name] for name in ("view", "search", "finish")}
PLANNER = {**READER, "finish": finish_tool(OUTPUTS["plan"])}


OLD_CODER = {name: spec for name, spec in CODER.items() if name != "apply_patch"}
PATCH = "*** Begin Patch\n*** Delete File: old.txt\n*** End Patch\n"
INSERT = {"tool": "edit", "command": "insert", "path": "a", "insert_line": 2}


def meant(name: str, arguments: object, tools: dict[str, ToolSpec] = CODER) -> dict[str, object]:
    """Return the call that is run: its tool and the arguments that were given."""
    tool, found = understood(tools, name, arguments)
    checked = check(tools, tool, found)
    assert not isinstance(checked, str), checked
    return {"tool": tool, **checked.model_dump(exclude_unset=True)}


@pytest.mark.parametrize(
    ("name", "arguments", "call"),
    [
        (
            "Read",
            {"file_path": "a.py", "offset": 10, "limit": 5},
            {"tool": "view", "path": "a.py", "view_range": [10, 14]},
        ),
        ("read_file", {"target_file": "a.py"}, {"tool": "view", "path": "a.py"}),
        ("LS", {"path": "src"}, {"tool": "view", "path": "src"}),
        (
            "view",
            {"path": "a.py", "start_line": 3, "end_line": 9},
            {"tool": "view", "path": "a.py", "view_range": [3, 9]},
        ),
        (
            "Grep",
            {"pattern": "x", "path": "src", "output_mode": "content", "-n": True, "-i": True},
            {"tool": "search", "pattern": "x", "path": "src", "ignore_case": True},
        ),
        ("grep_search", {"query": "x"}, {"tool": "search", "pattern": "x"}),
        (
            "Bash",
            {"command": "make", "description": "build", "timeout": 60_000},
            {"tool": "run_command", "command": "make", "timeout_seconds": 60},
        ),
        (
            "shell",
            {"command": ["bash", "-lc", "make test"], "timeout_ms": 1_500},
            {"tool": "run_command", "command": "make test", "timeout_seconds": 2},
        ),
        (
            "functions.exec_command",
            {"cmd": "ls"},
            {"tool": "run_command", "command": "ls"},
        ),
        (
            "Edit",
            {"file_path": "a", "old_string": "x", "new_string": "y", "replace_all": False},
            {"tool": "edit", "command": "str_replace", "path": "a", "old_str": "x", "new_str": "y"},
        ),
        (
            "edit",
            {"command": "str_replace", "path": "a", "old_string": "x", "newString": "y"},
            {"tool": "edit", "command": "str_replace", "path": "a", "old_str": "x", "new_str": "y"},
        ),
        (
            "Write",
            {"file_path": "a", "content": "x"},
            {"tool": "edit", "command": "create", "path": "a", "file_text": "x"},
        ),
        (
            "str_replace_based_edit_tool",
            {"command": "insert", "path": "a", "insert_line": 2, "new_str": "x"},
            {**INSERT, "insert_text": "x"},
        ),
        (
            "edit",
            {"command": "insert", "path": "a", "insert_line": 2, "text": "x"},
            {**INSERT, "insert_text": "x"},
        ),
        (
            "str_replace_editor",
            {"command": "view", "path": "a", "view_range": [1, 9]},
            {"tool": "view", "path": "a", "view_range": [1, 9]},
        ),
        ("view", '{"path": "a"}', {"tool": "view", "path": "a"}),
        (
            "view",
            {"path": "a", "view_range": "[1, 9]"},
            {"tool": "view", "path": "a", "view_range": [1, 9]},
        ),
        (
            "MultiEdit",
            {"file_path": "a", "edits": [{"old_string": "x", "new_string": "y"}]},
            {
                "tool": "edit",
                "command": "str_replace",
                "path": "a",
                "edits": ({"old_str": "x", "new_str": "y"},),
            },
        ),
        ("undo_edit", {"path": "a"}, {"tool": "edit", "command": "undo_edit", "path": "a"}),
        ("applyPatch", {"input": PATCH}, {"tool": "apply_patch", "patch": PATCH}),
        ("shell", {"command": ["apply_patch", PATCH]}, {"tool": "apply_patch", "patch": PATCH}),
        (
            "shell",
            {"command": ["bash", "-lc", f"apply_patch <<'EOF'\n{PATCH}EOF\n"]},
            {"tool": "apply_patch", "patch": PATCH},
        ),
        ("attempt_completion", {"result": "Done."}, {"tool": "finish", "summary": "Done."}),
    ],
)  # fmt: skip
def test_a_call_in_the_words_of_another_harness_is_understood(
    name: str, arguments: object, call: dict[str, object]
) -> None:
    """Its names of tools and arguments are read as ours."""
    assert meant(name, arguments) == call


def test_a_plan_whose_tasks_came_as_text_is_understood() -> None:
    """A list that is JSON in a text is the list."""
    tasks = [{"id": "a", "title": "A", "goal": "Do it.", "writes": ["a.py"]}]
    call = meant("finish", {"summary": "S.", "tasks": json.dumps(tasks)}, PLANNER)

    assert [task["id"] for task in call["tasks"]] == ["a"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "tools", "said"),
    [
        ("apply_patch", OLD_CODER, "change files with `edit`"),
        ("Glob", READER, "List a folder with `view`"),
        ("Edit", READER, "Tools: finish, search, view."),
        ("apply_patch", READER, "Tools: finish, search, view."),
        ("teleport", CODER, f"Tools: {', '.join(sorted(CODER))}."),
    ],
)
def test_a_tool_that_there_is_not_is_answered_with_the_right_name(
    name: str, tools: dict[str, ToolSpec], said: str
) -> None:
    """The answer names what the agent has, and never a tool that it has not."""
    problem = check(tools, *understood(tools, name, {"path": "a"}))

    assert isinstance(problem, str)
    assert said in problem
    assert ("`edit`" in problem) <= ("edit" in tools)


@pytest.mark.parametrize(
    ("tools", "said"), [(CODER, "is no command here but a tool"), (OLD_CODER, "with `edit`")]
)
def test_apply_patch_as_a_command_is_answered(tools: dict[str, ToolSpec], said: str) -> None:
    """The shell would only say that there is no such command."""
    for command in ("apply_patch p.diff", f"cd src && apply_patch <<EOF\n{PATCH}EOF"):
        given = {"command": ["bash", "-lc", command]}
        problem = check(tools, *understood(tools, "shell", given))

        assert isinstance(problem, str)
        assert said in problem


def test_commands_that_only_speak_of_patches_are_run() -> None:
    """A program of the repository may have such a name."""
    assert meant("run_command", {"command": "./apply_patch.sh && git apply p.diff"})


@pytest.mark.parametrize(
    ("name", "tools"),
    [
        *[(name, CODER) for name in CODER],
        *[("finish", {"finish": finish_tool(each)}) for each in OUTPUTS.values()],
        ("finish", {"finish": finish_tool(output_of("Label it.", {"label": "L.", "why": "W."}))}),
    ],
)  # fmt: skip
def test_an_argument_error_shows_an_example_that_is_valid(
    name: str, tools: dict[str, ToolSpec]
) -> None:
    """Whole, in what a history may hold, and valid for exactly this tool."""
    problem = check(tools, name, {"wrong": "x" * 50})

    assert isinstance(problem, str)
    assert len(problem) <= 1_000
    example = json.loads(problem.partition("Arguments that fit: ")[2])
    assert not isinstance(check(tools, name, example), str)


@pytest.mark.parametrize("summary", ["", "  ", "\n\u200b\t", None])
def test_an_empty_finish_is_an_argument_error(summary: str | None) -> None:
    """The agent is told in the same conversation, before any round of the task is used up."""
    arguments = {} if summary is None else {"summary": summary}
    problem = check(CODER, *understood(CODER, "finish", arguments))

    assert isinstance(problem, str)
    assert "summary" in problem
    assert "Arguments that fit" in problem


def test_a_blank_title_within_a_plan_is_an_argument_error() -> None:
    """Required texts of every depth say something."""
    task = {"id": "a", "title": " ", "goal": "Do it."}
    problem = check(PLANNER, "finish", {"summary": "S.", "tasks": [task]})

    assert isinstance(problem, str)
    assert "tasks.0.title" in problem


def test_a_field_of_a_plan_that_nothing_reads_is_an_argument_error() -> None:
    """Else a task would lose its paths or its order to a name from elsewhere, unseen."""
    task = {"id": "a", "title": "A.", "goal": "Do it.", "files": ["a.py"], "dependencies": ["b"]}
    problem = check(PLANNER, "finish", {"summary": "S.", "tasks": [task], "risks": "none"})

    assert isinstance(problem, str)
    assert "there is no tasks.0.files, tasks.0.dependencies (there are id, " in problem
    assert "there is no risks (there are summary, tasks, answer)" in problem


def test_what_is_wrong_with_a_plan_is_said_once_and_in_the_words_of_json() -> None:
    """A list whose only entry is wrong is not called empty too."""
    problem = check(PLANNER, "finish", {"summary": "S.", "tasks": [{"id": "a", "writes": "a.py"}]})

    assert isinstance(problem, str)
    assert "tasks.0.writes: Input should be a list" in problem
    assert "uple" not in problem
    assert "at least 1 item" not in problem


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)  # fmt: skip
WORDS = st.sampled_from(
    ["path", "file_path", "command", "content", "old_string", "timeout", "limit", "-i", "tasks"]
)


@given(name=st.sampled_from([*CODER, "Read", "Bash", "Write", ""]) | st.text(max_size=30),
       arguments=JSON | st.dictionaries(WORDS, JSON, max_size=5))  # fmt: skip
def test_whatever_a_model_sends_is_a_call_or_an_answer(name: str, arguments: object) -> None:
    """Nothing that a model sends is an error of ours."""
    found = check(CODER, *understood(CODER, name, arguments))

    assert found if isinstance(found, str) else found.model_dump_json()


def test_what_fits_already_is_left_as_it_is() -> None:
    """A call by our own names means what it says."""
    arguments = {"command": "str_replace", "path": "a", "old_str": "", "new_str": "content"}

    assert understood(CODER, "edit", arguments) == ("edit", arguments)


def test_the_schema_of_the_called_tool_alone_is_made_and_once() -> None:
    """Each takes milliseconds, at every turn of an agent."""

    class Counted(BaseModel):
        path: str

        @classmethod
        @override
        def model_json_schema(cls, *_args: Any, **_options: Any) -> dict[str, Any]:
            made.append(cls.__name__)
            return super().model_json_schema()

    class Other(Counted):
        pass

    made: list[str] = []
    tools = {
        name: replace(CODER["view"], name=name, arguments=arguments)
        for name, arguments in (("view", Counted), ("edit", Other))
    }
    for _ in range(3):
        assert understood(tools, "view", {"file_path": "a"}) == ("view", {"path": "a"})

    assert made == ["Counted"]
