"""What import-linter cannot see: the entry scripts, the standard library, module state, doors."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PURE = ("contracts", "domain")


def imported(file: Path) -> set[str]:
    """Top-level names of what a file imports absolutely."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def files(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


def test_rehearsal_stands_on_the_standard_library_alone() -> None:
    """The rehearsal server imports nothing but Python's own library and itself."""
    found = {name for file in files("rehearsal") for name in imported(file)}

    assert found - set(sys.stdlib_module_names) == {"rehearsal"}


def test_starter_never_pays_for_vendors() -> None:
    """starter.py and cli import neither activities nor anthropic nor git; reading what the store
    keeps imports neither.
    """
    found = imported(ROOT / "starter.py").union(*(imported(file) for file in files("cli")))
    assert not found & {"activities", "anthropic", "git", "rehearsal", "worker"}

    code = "import sys; import cli.kept; sys.exit(bool({'anthropic', 'git'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_the_worker_knows_everything_but_the_rehearsal() -> None:
    """worker.py composes the rooms and does not know that a rehearsal exists."""
    found = imported(ROOT / "worker.py")

    assert {"activities", "contracts", "infra", "runtime", "workflows"} <= found
    assert "rehearsal" not in found


@pytest.mark.parametrize("room", ["workflows", "activities", "infra", "runtime", "cli"])
def test_no_room_speaks_of_the_rehearsal(room: str) -> None:
    """The product has no mock branch: outside the price table no room names the rehearsal."""
    naming = [
        str(file.relative_to(ROOT))
        for file in files(room)
        if "import rehearsal" in file.read_text("utf-8")
        or "from rehearsal" in file.read_text("utf-8")
    ]

    assert naming == []


@pytest.mark.parametrize("room", PURE)
def test_pure_rooms_hold_no_state(room: str) -> None:
    """Passed-through modules are shared between workflow runs: they hold no list, dict or set."""
    mutable = []
    for file in files(room):
        for node in ast.parse(file.read_text("utf-8")).body:
            value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                continue
            if isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp):
                mutable.append(f"{file.relative_to(ROOT)}:{node.lineno}")

    assert mutable == []


def test_workflow_files_are_read_whole() -> None:
    """A workflow file stays under 300 lines."""
    long = {
        file.name: lines
        for file in files("workflows")
        if (lines := file.read_text("utf-8").count("\n")) > 300
    }

    assert long == {}


def test_durations_stand_in_one_table() -> None:
    """In workflows a timedelta is written in activity_options.py alone, or made from a value."""
    elsewhere = []
    for file in files("workflows"):
        if file.name == "activity_options.py":
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("timedelta"):
                literal = [k for k in node.keywords if isinstance(k.value, ast.Constant)]
                elsewhere += [f"{file.name}:{node.lineno}"] if literal else []

    assert elsewhere == []


def test_workflows_and_domain_work_without_vendors() -> None:
    """Importing every workflow loads neither anthropic nor git nor structlog."""
    code = (
        "import sys, workflows.request, workflows.subtask, workflows.agent, workflows.merge_queue;"
        "vendors = {'anthropic', 'git', 'structlog', 'activities', 'infra', 'rich'};"
        "print(sorted(vendors & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert found.stdout.strip() == "[]"
