"""The canary: runs *inside* the sandbox at worker start and reports every way it got out.

Standard library only, run as a script by the worker's interpreter: `canary.py FACTS`, where FACTS
is a JSON object written by the worker. Prints one JSON object: the nonce it was given and the
sentences that describe what should not have been possible. `sandbox.py` judges the answer.
Only opens what it tests for writing, and never writes a byte outside its own folders.
"""

import ctypes
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypedDict

_CLONE_NEWUSER = 0x10000000
_REMOUNT_BIND = 0x20 | 0x1000
_KERNEL_SWITCHES = ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger")
_PASSWORDS = ("/etc/shadow", "/etc/gshadow")
_SYSTEM = ("/", "/usr", "/etc")
_CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


class CanaryFacts(TypedDict):
    """What the worker passes to its canary.

    Attributes:
        nonce: repeated in the answer, so that no canned answer passes.
        loopback_port: a TCP port on which the worker listens.
        namespaces: the worker's own namespaces, kind to identity.
        environment: the only names that the environment may have.
        store: a folder that must be readable and not writable.
        secret: a file in a hidden folder.
        sockets: host unix sockets; the canary tries to connect to each.
        foreign: a folder outside the worktree whose parent the worker can write.
    """

    nonce: str
    loopback_port: int
    namespaces: dict[str, str]
    environment: list[str]
    store: str
    secret: str
    sockets: list[str]
    foreign: str


def main() -> None:
    """Try every way out and print the answer: the nonce, the leaks, the sockets reached."""
    facts: CanaryFacts = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    leaks = [
        *_privileges(),
        *_outside(facts),
        *_secrets(facts),
        *_kernel(),
        *_network(facts),
        *_own_place(),
    ]
    sockets = [path for path in facts["sockets"] if _connects(path)]
    sys.stdout.write(json.dumps({"nonce": facts["nonce"], "leaks": leaks, "sockets": sockets}))


def _privileges() -> Iterator[str]:
    """Check identity, capabilities and that the filter is on."""
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    status = {key: value.split() for key, _, value in (line.partition(":") for line in lines)}
    for capability in _CAPABILITIES:
        if int(status[capability][0], 16):
            yield f"The payload holds capabilities ({capability} {status[capability][0]})."
    if "0" in status["Uid"] or "0" in status["Gid"]:
        yield "The payload runs as root."
    if status["NoNewPrivs"] != ["1"]:
        yield "The payload may gain privileges by running a set-user-id program."
    if status["Seccomp"] != ["2"]:
        yield "No system call filter is active."


def _outside(facts: CanaryFacts) -> Iterator[str]:
    """Check that the host's files are read-only and its namespaces not shared."""
    for folder in ("/etc", facts["foreign"], facts["store"]):
        if _happens(Path(folder, ".sandbox-canary").touch):
            yield f"A file could be created in {folder}."
    for folder in _SYSTEM:
        if not os.statvfs(folder).f_flag & os.ST_RDONLY:
            yield f"{folder} is mounted to be written."
    if not _happens(os.scandir, facts["store"]):
        yield "The store cannot be read."
    for kind, identity in facts["namespaces"].items():
        if str(Path(f"/proc/self/ns/{kind}").readlink()) == identity:
            yield f"The {kind} namespace is the host's."


def _secrets(facts: CanaryFacts) -> Iterator[str]:
    """Check that hidden files, password files and environments are out of reach."""
    for secret in (facts["secret"], *_PASSWORDS, "/proc/1/environ"):
        if _happens(_read_something, Path(secret)):
            yield f"{secret} could be read."
    if unexpected := set(os.environ) - set(facts["environment"]):
        yield f"The environment leaked: {', '.join(sorted(unexpected))}."


def _kernel() -> Iterator[str]:
    """Check that the ways to rearrange the sandbox, or the machine, are closed."""
    for switch in _KERNEL_SWITCHES:
        if _happens(_open_for_writing, switch):
            yield f"{switch} could be opened for writing."
    libc = ctypes.CDLL(None)
    if libc.mount(b"none", b"/", None, _REMOUNT_BIND, None) == 0:
        yield "The root could be mounted writable."
    if os.fork() == 0:
        os._exit(0 if libc.unshare(_CLONE_NEWUSER) == 0 else 1)
    if os.wait()[1] == 0:
        yield "A new user namespace could be made."


def _network(facts: CanaryFacts) -> Iterator[str]:
    if _happens(socket.create_connection, ("127.0.0.1", facts["loopback_port"]), 1):
        yield "The host's loopback network can be reached."


def _own_place() -> Iterator[str]:
    """Check that `.git` is fixed, and that everything the payload owns can be written."""
    private = Path(".git").read_text("utf-8").removeprefix("gitdir: ").strip()
    if _happens(Path(".git").rename, ".moved"):
        yield "The worktree's .git could be renamed."
        Path(".moved").rename(".git")
    if _happens(_open_for_writing, ".git"):
        yield "The worktree's .git could be opened for writing."
    for folder in (".", os.environ["HOME"], private, "/tmp", "/dev/shm"):  # noqa: S108
        probe = Path(folder, "canary-was-here")
        if not _happens(probe.write_text, "x"):
            yield f"{folder} cannot be written."


def _connects(path: str) -> bool:
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET)
    return any(_happens(_connect, path, kind) for kind in kinds)


def _connect(path: str, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_UNIX, kind) as client:
        client.settimeout(1)
        client.connect(path)


def _open_for_writing(path: str) -> None:
    os.close(os.open(path, os.O_WRONLY))


def _read_something(path: Path) -> None:
    """Raise OSError for an empty file, as for one that cannot be read."""
    if not path.read_bytes():
        raise OSError(path)


def _happens(attempt: Callable[..., object], *arguments: object) -> bool:
    try:
        attempt(*arguments)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main()
