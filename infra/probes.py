"""Probes of this host for a person who asks what is wrong; nothing that they start stays."""

import subprocess
import tempfile
from pathlib import Path

from contracts.failures import FailureKind
from infra.disk_space import LEAST_BYTES, free_bytes
from infra.git.command import GitMissingError, git_binary
from infra.sandbox import Sandbox, SandboxUnavailable

__all__ = ["LEAST_BYTES", "ProbeFailed", "free_bytes", "git_version", "model_answer", "try_sandbox"]
OLDEST_GIT = (2, 39)
_GIT_SECONDS = 10.0


class ProbeFailed(Exception):  # noqa: N818 - named for what happened
    """A probe found something that keeps the product from working; the text says what to do."""


async def try_sandbox(home: Path, *, show: tuple[Path, ...]) -> str:
    """Try the sandbox as a worker does when it starts, and return how it holds.

    Args:
        home: hidden from commands; need not exist.
        show: folders that commands may read.

    Raises:
        ProbeFailed: it does not hold, so no command would run.
    """
    sandbox = Sandbox()
    # On the disk of the home, where the worktrees will lie.
    homes = tuple(filter(Path.is_dir, (home,)))
    with tempfile.TemporaryDirectory(dir=next(iter(homes), None), prefix="doctor-") as scratch:
        try:
            await sandbox.probe(Path(scratch), hide=homes, show=show)
        except SandboxUnavailable as error:
            raise ProbeFailed(str(error)) from error
    return sandbox.reason


def git_version() -> str:
    """Return the version of git, such as `2.39.5`; ProbeFailed when it is missing or too old."""
    try:
        words = [git_binary(), "--version"]
        shown = subprocess.run(
            words, capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
        ).stdout.split()
    except (GitMissingError, OSError, subprocess.SubprocessError) as error:
        raise ProbeFailed(f"{error}") from error
    version = shown[2] if len(shown) > 2 else ""
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if numbers < OLDEST_GIT:
        oldest = ".".join(map(str, OLDEST_GIT))
        raise ProbeFailed(f"git {version or '(no version)'} is too old: install {oldest} or newer")
    return version


async def model_answer(
    names: set[str], *, api_key: str | None, auth_token: str | None, base_url: str | None
) -> str:
    """Ask the model's service for models by name, which costs nothing; return what it said.

    Raises:
        ProbeFailed: it does not answer, refuses the credentials, or lacks one of the models.
    """
    from infra.anthropic.client import (  # noqa: PLC0415 - slow, and seldom asked for
        MessagesClient,
        ModelServiceError,
    )

    client = MessagesClient(api_key=api_key, auth_token=auth_token, base_url=base_url)
    try:
        missing = [name for name in sorted(names) if not await client.has_model(name)]
    except ModelServiceError as error:
        if error.kind is FailureKind.MODEL_REQUEST:
            return "the service answers, but has no list of models by which to try the credentials"
        raise ProbeFailed(str(error)) from error
    finally:
        await client.close()
    if missing:
        raise ProbeFailed(f"the service has no model {', '.join(missing)}; check ORCHESTCODE_MODEL")
    return f"the service takes them, and has {', '.join(sorted(names))}"
