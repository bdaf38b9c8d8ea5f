"""Regenerate the pinned requirement files: hashes, markers for every platform, no index address.

uv is installed into a temporary environment, since nothing else in the project needs it.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

GROUPS = ("app", "dev", "browser")


def main() -> None:
    """Write requirements/<group>.txt for every group, in order: later groups build on earlier."""
    root = Path(__file__).resolve().parent.parent / "requirements"
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([sys.executable, "-m", "venv", scratch], check=True)
        subprocess.run([f"{scratch}/bin/pip", "install", "-q", "uv"], check=True)
        for group in GROUPS:
            command = [f"{scratch}/bin/uv", "pip", "compile", "-q", "--universal"]
            command += ["--python-version", "3.11", "--generate-hashes", "--no-header"]
            command += ["--no-emit-index-url", "--no-emit-find-links"]
            command += [f"{group}.in", "-o", f"{group}.txt"]
            subprocess.run(command, check=True, cwd=root)


if __name__ == "__main__":
    main()
