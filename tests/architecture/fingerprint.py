"""The source-ordered commands of every workflow and shared helper; standard library only."""

import ast
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BASELINE = Path(__file__).with_name("workflow_fingerprints.json")
COMMANDS = {
    "execute_activity_method",
    "call",
    "start_activity_method",
    "execute_child_workflow",
    "start_child_workflow",
    "sleep",
    "wait_condition",
    "continue_as_new",
    "patched",
    "deprecate_patch",
    "signal",
    "upsert_search_attributes",
    "gather",
    "create_task",
}


def commands(tree: ast.AST) -> list[str]:
    """The Temporal commands below a node, in source order, with what they name."""
    seen = [line for child in ast.iter_child_nodes(tree) for line in commands(child)]
    called = tree.func if isinstance(tree, ast.Call) else None
    if isinstance(called, ast.Attribute) and called.attr in COMMANDS and isinstance(tree, ast.Call):
        named = [ast.unparse(k.value) for k in tree.keywords if k.arg == "id"]
        shown = [ast.unparse(argument) for argument in tree.args[:1]]
        seen.append(" ".join([called.attr, *shown, *named]))
    return seen


def fingerprints() -> dict[str, list[str]]:
    """Commands by `module:name` of every top-level class and function in workflows."""
    found: dict[str, list[str]] = {}
    for file in sorted((ROOT / "workflows").glob("*.py")):
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                lines = commands(node)
                if lines:
                    found[f"{file.stem}:{node.name}"] = lines
    return found


def write() -> None:
    """Accept the present order as the baseline."""
    BASELINE.write_text(json.dumps(fingerprints(), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    write()
