"""Which code a process runs: the release and, in a git checkout, the commit."""

import hashlib
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The repository's root: the folder of the entry scripts."""
_GIT_SECONDS = 5.0
_LAYERS = ("contracts", "domain", "workflows", "activities", "infra", "runtime")
_BUILD_DIGITS = 8


def code_version(root: Path) -> str:
    """Return the version of the code in a folder, such as `0.1.0 (3f9c12ab34de)`.

    A running process keeps the version with which it began, whatever is checked out meanwhile.
    """
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    commit = _commit(root)
    return f"{project['version']} ({commit})" if commit else str(project["version"])


def build_id(root: Path) -> str:
    """Return hexadecimal digits that stand for a worker's code in a folder.

    Every event that a worker writes into a history names it: the SDK's own has 32 digits, and takes
    long, since it reads all that is imported.
    """
    digest = hashlib.sha256((root / "worker.py").read_bytes())
    for file in sorted(file for layer in _LAYERS for file in (root / layer).rglob("*.py")):
        digest.update(f"\0{file.relative_to(root)}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:_BUILD_DIGITS]


def _commit(root: Path) -> str:
    """Return the commit of a checkout; "" where there is none, or no git."""
    if not (root / ".git").exists():
        return ""
    try:
        found = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "--short=12", "HEAD"],
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""
