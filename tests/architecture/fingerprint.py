"""The source-ordered steps of every workflow and shared helper; standard library only."""

import ast
import builtins
import json
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BASELINE = Path(__file__).with_name("workflow_fingerprints.json")
COMMANDS = {
    "execute_activity_method",
    "execute",
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
Function = ast.FunctionDef | ast.AsyncFunctionDef


class Reader:
    """Reads the steps of the functions of some modules.

    A step is a call of a command, of a plain function here that takes a step itself (of one's own
    class, or a shared one), or anything awaited that is not a primitive of asyncio.
    """

    def __init__(self, modules: dict[str, ast.Module]) -> None:
        self._functions = [
            (module, owner, function)
            for module, tree in modules.items()
            for owner, function in functions(tree)
        ]
        self._helpers: set[str] = set()
        before = -1
        while before < len(self._helpers):
            before = len(self._helpers)
            self._helpers |= {
                f"{owner}{function.name}"
                for _, owner, function in self._functions
                if isinstance(function, ast.FunctionDef) and self.steps(function, owner)
            }

    def all(self) -> dict[str, list[str]]:
        """Steps by `module:name` of every function that has any."""
        read = {
            f"{module}:{owner}{function.name}": self.steps(function, owner)
            for module, owner, function in self._functions
        }
        return {name: steps for name, steps in read.items() if steps}

    def steps(self, node: ast.AST, owner: str) -> list[str]:
        """The steps below a node, in source order, with what they name."""
        seen: list[str] = []
        decorators = node.decorator_list if isinstance(node, Function) else []
        for child in ast.iter_child_nodes(node):
            if child in decorators:
                continue
            seen += self.steps(child, owner)
            if isinstance(node, ast.AsyncWith) and isinstance(child, ast.withitem):
                seen.append(f"with {_shown(child.context_expr)}")
        if isinstance(node, ast.Call) and _last(node) in COMMANDS:
            seen.append(_command(node))
        elif isinstance(node, ast.Call) and self._is_helper(node, owner):
            seen.append(_shown(node))
        elif isinstance(node, ast.Await) and not self._is_seen(node.value, owner):
            seen.append(f"await {_shown(node.value)}")
        return seen

    def _is_helper(self, call: ast.Call, owner: str) -> bool:
        of_self = ast.unparse(call.func).startswith("self.")
        return f"{owner if of_self else ''}{_last(call)}" in self._helpers

    def _is_seen(self, awaited: ast.expr, owner: str) -> bool:
        """Whether what is awaited is a step by itself, or a primitive that names none."""
        if not isinstance(awaited, ast.Call):
            return False
        if ast.unparse(awaited.func).startswith("asyncio."):
            return not _named(awaited)
        return _last(awaited) in COMMANDS or self._is_helper(awaited, owner)


def functions(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    """Every top-level function and method, with its class's name and a dot before it."""
    for node in tree.body:
        if isinstance(node, Function):
            yield "", node
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, Function):
                    yield f"{node.name}.", inner


def _last(call: ast.Call) -> str:
    """The last name of what is called."""
    return ast.unparse(call.func).rsplit(".", maxsplit=1)[-1]


def _command(call: ast.Call) -> str:
    named = [ast.unparse(k.value) for k in call.keywords if k.arg == "id"]
    shown = [ast.unparse(argument) for argument in call.args[:1]]
    return " ".join([_last(call), *shown, *named])


def _shown(node: ast.expr) -> str:
    if not isinstance(node, ast.Call):
        return ast.unparse(node)
    return " ".join([ast.unparse(node.func), *_named(node)])


def _named(call: ast.Call) -> list[str]:
    """What a call's arguments name: words, class members, other calls; no variable, no text."""
    found = []
    for each in (*call.args, *(keyword.value for keyword in call.keywords)):
        if isinstance(each, ast.Constant) and isinstance(each.value, str):
            found += [repr(each.value)] if each.value.isidentifier() else []
        elif isinstance(each, ast.Attribute) and ast.unparse(each)[0].isupper():
            found.append(ast.unparse(each))
        elif isinstance(each, ast.Call) and _last(each) not in {*COMMANDS, *dir(builtins)}:
            found.append(ast.unparse(each.func))
    return found


def parsed() -> dict[str, ast.Module]:
    """The modules of workflows, by their name there."""
    folder = ROOT / "workflows"
    return {
        ".".join(file.relative_to(folder).with_suffix("").parts): ast.parse(file.read_text("utf-8"))
        for file in sorted(folder.rglob("*.py"))
    }


def fingerprints() -> dict[str, list[str]]:
    """The steps of every function in workflows that has any."""
    return Reader(parsed()).all()


def write() -> None:
    """Accept the present order as the baseline."""
    BASELINE.write_text(json.dumps(fingerprints(), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    write()
