"""Which code a worker runs, as its events in histories name it."""

import shutil
from pathlib import Path

from runtime.version import ROOT, build_id


def _copy(folder: Path) -> Path:
    for layer in ("contracts", "domain", "workflows", "activities", "infra", "runtime"):
        shutil.copytree(ROOT / layer, folder / layer, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "worker.py", folder)
    return folder


def test_a_build_is_named_by_its_code_in_eight_digits(tmp_path: Path) -> None:
    """The same code has the same name in every folder, a line more or a moved file another one."""
    name, folder = build_id(ROOT), _copy(tmp_path)

    assert len(name) == 8
    assert build_id(folder) == name
    file = folder / "domain/ids.py"
    file.write_text(file.read_text("utf-8") + "# changed\n", "utf-8")
    changed = build_id(folder)
    file.rename(folder / "domain/names.py")
    assert len({name, changed, build_id(folder)}) == 3
