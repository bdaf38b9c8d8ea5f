"""The `temporal` program: where it is, and whether it is new enough."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from runtime.errors import ServerError
from runtime.settings import Settings

OLDEST_SERVER = (1, 32, 0)
"""The oldest server release that the product was tried with."""


def find_binary(settings: Settings) -> Path:
    """Return the `temporal` program: the one beside this Python, else a new enough one on the path.

    Raises:
        ServerError: there is none.
    """
    # Not resolved: in a virtual environment the folder of the link is meant.
    bundled = Path(sys.executable).with_name("temporal")
    if os.access(bundled, os.X_OK):
        return bundled
    found = shutil.which("temporal", path=settings.path)
    if found and _server_version(found) >= OLDEST_SERVER:
        return Path(found)
    what = f"The `temporal` at {found} is too old" if found else "No `temporal` program was found"
    raise ServerError(
        f"{what}; run `make setup`, which installs it, or set TEMPORAL_ADDRESS to a service."
    )


def _server_version(binary: str) -> tuple[int, ...]:
    try:
        shown = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    match = re.search(r"Server (\d+)\.(\d+)\.(\d+)", shown)
    return tuple(int(part) for part in match.groups()) if match else ()
