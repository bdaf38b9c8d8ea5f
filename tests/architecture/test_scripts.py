"""How scripts end: none that may speak to a Temporal server leaves it to the interpreter."""

import ast
import functools
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SPEAKS = {"temporalio.client", "temporalio.worker"}
"""Modules whose calls are answered on threads of the SDK."""


def scripts() -> list[Path]:
    """Every file of the repository that is run as a script."""
    files = [*ROOT.glob("*.py"), *(file for place in _folders() for file in place.rglob("*.py"))]
    return sorted(file for file in files if _main_block(file) is not None)


def _folders() -> list[Path]:
    return [each for each in ROOT.iterdir() if each.is_dir() and not each.name.startswith(".")]


def _main_block(file: Path) -> ast.If | None:
    blocks = [node for node in _tree(file).body if isinstance(node, ast.If)]
    return next((block for block in blocks if "__name__" in ast.unparse(block.test)), None)


@functools.cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text("utf-8"))


def reached(file: Path) -> set[str]:
    """Every module that a file imports, also by way of others of this repository."""
    names, files = set[str](), [file]
    while files:
        for name in _imported(files.pop()) - names:
            names.add(name)
            path = ROOT / name.replace(".", "/")
            files += [
                each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()
            ]
    return names


@functools.cache
def _imported(file: Path) -> set[str]:
    names = set[str]()
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def test_a_script_that_speaks_to_a_server_ends_its_process_itself() -> None:
    """`end_process` is the last call: the interpreter's own end can block, or crash with SIGSEGV or
    SIGABRT after everything was done, while a thread of the SDK lets go of a result.
    """
    speaking = [file for file in scripts() if reached(file) & SPEAKS]
    ends = {
        str(file.relative_to(ROOT)): ast.unparse(block.body[-1])
        for file in speaking
        if (block := _main_block(file)) is not None
    }

    assert {"worker.py", "tests/replay/replaying.py"} <= ends.keys()
    assert [name for name, last in ends.items() if not last.startswith("end_process(")] == []


def test_the_command_line_ends_its_process_itself_once_asyncio_ran() -> None:
    """starter.py loads a command's modules only when it is named, and ends by way of `end`."""
    block = _main_block(ROOT / "starter.py")

    assert block is not None
    assert ast.unparse(block.body[-1]).startswith("end(")
    assert "end_process(code)" in (ROOT / "starter.py").read_text("utf-8")
