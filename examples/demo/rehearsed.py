"""A rehearsed model and a repository to work on, for demonstration, benchmark and tests."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from runtime.services.child_process import ChildProcess, log_tail

ROOT = Path(__file__).resolve().parents[2]
_READY_SECONDS = 60.0
_STOP_SECONDS = 5.0
_DROPPED = (
    "TEMPORAL_",
    "ANTHROPIC_",
    "ORCHESTCODE_MODEL",
    "ORCHESTCODE_FALLBACK_MODEL",
    "ORCHESTCODE_EFFORT",
    "ORCHESTCODE_TEMPORAL_PORT",
    "ORCHESTCODE_UI_PORT",
    "ORCHESTCODE_METRICS_ADDRESS",
)
"""The caller's own model and service have no part in it; fixed ports may be taken."""


class RehearsalProcess:
    """The rehearsal server as a child of this process, ready when it is made.

    Args:
        script: the model's replies.
        folder: for its journal and its log.

    Attributes:
        address: its base URL.
        journal: one JSON line a request.

    Raises:
        RuntimeError: it did not start.
    """

    def __init__(self, script: Path, folder: Path) -> None:
        self.journal = folder / "rehearsal.jsonl"
        log = folder / "rehearsal.log"
        words = ["-m", "rehearsal", "--script", str(script), "--journal", str(self.journal)]
        self._process = ChildProcess(
            [sys.executable, *words], environment=dict(os.environ), log=log, folder=ROOT
        )
        self.pid = self._process.pid
        self.address = self._listening(log)

    def _listening(self, log: Path) -> str:
        end = time.monotonic() + _READY_SECONDS
        while self._process.alive and time.monotonic() < end:
            if "listening on" in (said := log.read_text()):
                return said.split()[-1]
            time.sleep(0.02)
        self._process.kill()
        raise RuntimeError(f"The rehearsal server did not start:{log_tail(log)}")

    async def stop(self) -> None:
        """End it and wait until it is gone."""
        await self._process.stop(grace_seconds=_STOP_SECONDS)


def rehearsed_environment(
    environ: Mapping[str, str], *, home: Path, address: str
) -> dict[str, str]:
    """Return an environment in which the product works in `home`, with the model at `address`."""
    kept = {name: value for name, value in environ.items() if not name.startswith(_DROPPED)}
    # A proxy must not be asked for an address of this machine.
    direct = ",".join(filter(None, (kept.get("NO_PROXY"), "127.0.0.1,localhost")))
    return kept | {
        "ORCHESTCODE_HOME": str(home),
        "ANTHROPIC_API_KEY": "rehearsal",
        "ANTHROPIC_BASE_URL": address,
        "NO_PROXY": direct,
        "no_proxy": direct,
    }


def git(folder: Path, *words: str, check: bool = True) -> str:
    """Run git in a repository without the person's configuration, and return what it prints."""
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    author = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    command = ["git", "-C", str(folder), *author, *words]
    return subprocess.run(
        command, env=environ, check=check, capture_output=True, text=True
    ).stdout.strip()


def commit(folder: Path, message: str) -> str:
    """Commit everything in a repository's folder and return the commit's id."""
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def make_repository(folder: Path, message: str) -> Path:
    """Make a folder's files the one commit of branch main, and return the folder."""
    git(folder, "init", "-q", "-b", "main")
    commit(folder, message)
    return folder
