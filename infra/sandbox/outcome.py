"""How a run ended, in the words of a shell, and what to do about a sandbox that does not start."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from signal import SIGXFSZ
from types import MappingProxyType

from domain.command_limits import CommandLimits, amount, file_bytes
from infra.sandbox.launch import ProcessExit
from infra.sandbox.types import CommandOutcome, SandboxCommand

_LINE_LIMIT_BYTES = 128 * 1024 - 1
_COMMAND_NOT_RUN = 126

_PATH = re.compile(rb"/[^\s'\":;,()]+")

_ALLOW_NAMESPACES = (
    "allow user namespaces (sysctl kernel.unprivileged_userns_clone=1, or a container "
    "profile that permits clone and unshare)"
)
_REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        "No permissions to create new namespace": _ALLOW_NAMESPACES,
        "Creating new namespace failed: Operation not permitted": _ALLOW_NAMESPACES,
        "ENOSPC": "raise user.max_user_namespaces, or leave the sandbox the worker runs in",
        "Failed to make / slave": "start the container with apparmor=unconfined",
        "loopback: Failed RTM_NEWADDR": (
            "give bwrap an AppArmor profile with `userns,` "
            "(kernel.apparmor_restrict_unprivileged_userns is on)"
        ),
        "Can't mount proc": "run the worker outside an unprivileged container",
        "setting up uid map": "give the container CAP_SETFCAP, or run the worker as another user",
        "Can't find source path": (
            "move the tool out of the folder only its owner may enter, or run the worker as root"
        ),
        "Unknown option": "install bubblewrap 0.8 or newer",
        "Permission denied": "make the folders above the worktree and the store enterable for all",
    }
)
"""What to do about a failed start, by a piece of the launcher's message."""

_HINTS: Mapping[bytes, str] = MappingProxyType(
    {
        b"Read-only file system": "only the worktree and /tmp can be written",
        b"Network is unreachable": "there is no network",
        b"Temporary failure in name resolution": "there is no network",
        b"Could not resolve host": "there is no network",
        b"Name or service not known": "there is no network",
        b"EAI_AGAIN": "there is no network",
        b"Permission denied": "files outside the worktree belong to another user",
        b"Operation not permitted": "this system call is not available",
    }
)
"""What a failed command's output means in the sandbox; the first match is the hint."""


def unrunnable(command: SandboxCommand) -> CommandOutcome | None:
    """Return the outcome of a command that no operating system would take; None = it can run."""
    for text in (command.line, command.cwd, *command.env.values()):
        try:
            encoded = os.fsencode(text)
        except UnicodeEncodeError:
            return _not_run(b"bash: the command holds text that cannot be encoded\n")
        if b"\0" in encoded:
            return _not_run(b"bash: the command holds a NUL byte\n")
        if len(encoded) > _LINE_LIMIT_BYTES:
            return _not_run(b"bash: the command is too long, write it to a file and run that\n")
    return None


def _not_run(output: bytes) -> CommandOutcome:
    return CommandOutcome(exit_code=_COMMAND_NOT_RUN, duration_seconds=0.0, output=output)


def command_outcome(
    ending: ProcessExit, limits: CommandLimits, hidden: Sequence[Path] = ()
) -> CommandOutcome:
    """Return how a run ended, as a shell reports it; `hidden` is what no command sees."""
    ours = ending.exceeded is not None
    code = ending.returncode if ending.returncode >= 0 else 128 - ending.returncode
    signal = code - 128 if 129 <= code <= 128 + 64 else None
    return CommandOutcome(
        exit_code=None if ours else code,
        signal=9 if ours else signal,
        exceeded=ending.exceeded,
        duration_seconds=ending.duration_seconds,
        output=ending.output,
        hint=None
        if ours or code == 0
        else _hint(ending.output, limits, signal) or _hidden_hint(ending.output, hidden),
    )


def _hint(output: bytes, limits: CommandLimits, number: int | None) -> str | None:
    """Return what a failed command's output, or its signal, says about the sandbox, or None."""
    file = f"one file can have at most {amount(file_bytes(limits))}"
    processes = f"there can be {limits.processes} processes and threads at once"
    hints = {
        **_HINTS,
        b"File too large": file,
        b"File size limit exceeded": file,
        b"fork: retry: Resource temporarily unavailable": processes,
    }
    meaning = next((meaning for words, meaning in hints.items() if words in output), None)
    meaning = file if number == SIGXFSZ else meaning
    return meaning and f"blocked by sandbox: {meaning}"


def _hidden_hint(output: bytes, hidden: Sequence[Path]) -> str | None:
    """Return that a path of the output is not shown to commands; not whether it exists."""
    for line in output.splitlines():
        if b"No such file or directory" not in line:
            continue
        for match in _PATH.finditer(line):
            path = Path(os.fsdecode(match[0]))
            root = next((root for root in hidden if path.is_relative_to(root)), None)
            if root is not None:
                return (
                    f"blocked by sandbox: commands see nothing of {root}; a person can show them "
                    "folders with ORCHESTCODE_VISIBLE_PATHS"
                )
    return None


def not_starting(output: bytes) -> str:
    """Return one sentence with the remedy for the launcher's last message."""
    text = output.decode("utf-8", "replace").strip()
    words = text.splitlines()[-1][:300] if text else "no message"
    general = "see that bwrap works for the worker's user on this machine"
    cure = next((cure for piece, cure in _REMEDIES.items() if piece in text), general)
    return f"The sandbox does not start ({words.rstrip('.')}): {cure}."
