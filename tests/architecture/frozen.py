"""The numbers and names that workflow code holds: part of what histories mean."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BASELINE = Path(__file__).with_name("frozen_constants.json")
PROGRAM = """
import json, sys, importlib, pkgutil
import workflows
for module in pkgutil.iter_modules(workflows.__path__, "workflows."):
    importlib.import_module(module.name)
found = {}
for name, module in sorted(sys.modules.items()):
    if name.startswith(("domain.", "contracts.")):
        for constant, value in sorted(vars(module).items()):
            plain = isinstance(value, int | float) and not isinstance(value, bool)
            if plain and constant.isupper() and not hasattr(value, "_value_"):
                found[f"{name}.{constant}"] = value
print(json.dumps(found))
"""


def constants() -> dict[str, Any]:
    """Return every number that is a constant of a module which workflows import."""
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def write() -> None:
    """Accept the present numbers as the baseline."""
    BASELINE.write_text(json.dumps(constants(), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    write()
