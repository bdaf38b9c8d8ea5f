"""Runs *inside* the sandbox: tries the known ways out and prints which of them worked.

Standard library only. `sandbox_escapes.py FACTS` with a JSON file; prints {name of the attempt:
whether it went through}.
"""

import ctypes
import json
import os
import platform
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from subprocess import DEVNULL

LIBC = ctypes.CDLL(None, use_errno=True)
NUMBERS = {
    "x86_64": {"keyctl": 250, "bpf": 321, "perf_event_open": 298, "userfaultfd": 323},
    "aarch64": {"keyctl": 219, "bpf": 280, "perf_event_open": 241, "userfaultfd": 282},
}[platform.machine()]
IO_URING_SETUP = 425
MS_REMOUNT_BIND = 0x1020
NEW_USER = 0x10000000
TIOCSTI = 0x5412


def main() -> None:
    """Try everything, each on its own."""
    facts = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    attempts = {**files(facts), **kernel(facts), **network(facts), **nodes()}
    print(json.dumps({name: happens(attempt) for name, attempt in attempts.items()}))


def happens(attempt: Callable[[], object]) -> bool:
    """An attempt works when it neither raises nor returns False."""
    try:
        return attempt() is not False
    except OSError:
        return False


def files(facts: dict[str, str]) -> dict[str, Callable[[], object]]:
    """Writing and reading where nothing should be written or read."""
    store = Path(facts["store"])
    return {
        "write the worktree": Path("written").touch,
        "write outside": Path(facts["outside"], "escaped").touch,
        "write /etc": Path("/etc/escaped").touch,
        "write the store's hooks": (store / "hooks" / "pre-commit").touch,
        "write the store's config": (store / "config").open("a").close
        if os.access(store / "config", os.W_OK)
        else refused,
        "rename .git": lambda: Path(".git").rename(".moved"),
        "remove .git": Path(".git").unlink,
        "rewrite .git": lambda: Path(".git").write_text("gitdir: /elsewhere"),
        "read /etc/shadow": lambda: bool(Path("/etc/shadow").read_bytes()),
        "read a hidden file": lambda: bool(Path(facts["secret"]).read_bytes()),
        "read the host's init": lambda: facts["secret_word"] in environments(),
        "read the worker's environment": lambda: facts["secret_word"] in str(os.environ),
    }


def kernel(facts: dict[str, str]) -> dict[str, Callable[[], object]]:
    """Rearranging the sandbox, gaining rights, reaching processes."""
    return {
        "remount / writable": lambda: LIBC.mount(b"none", b"/", None, MS_REMOUNT_BIND, None) == 0,
        "unmount /proc/sys": lambda: LIBC.umount2(b"/proc/sys", 2) == 0,
        "unshare a user namespace": lambda: command("unshare", "-Ur", "true"),
        "unshare, then unmount": lambda: command("unshare", "-Urm", "umount", "/proc/sys"),
        "clone a user namespace": clone_user_namespace,
        "make a cgroup": Path("/sys/fs/cgroup/escaped").mkdir,
        "signal a host process": partial(signal_host, facts),
        "make a device": lambda: os.mknod("disk", 0o60666, os.makedev(254, 0)),
        "become root": lambda: command("su", "-c", "true"),
        "set user 0": lambda: os.setuid(0),
        "io_uring": lambda: LIBC.syscall(IO_URING_SETUP, 4, ctypes.create_string_buffer(256)) >= 0,
        "keyctl": lambda: LIBC.syscall(NUMBERS["keyctl"], 0, -3, 1) >= 0,
        "bpf": lambda: denied_by_filter(NUMBERS["bpf"], -1),
        "perf_event_open": lambda: denied_by_filter(NUMBERS["perf_event_open"], 0),
        "userfaultfd": lambda: LIBC.syscall(NUMBERS["userfaultfd"], 1) >= 0,
        "type into a terminal": type_into_terminal,
    }


def network(facts: dict[str, str]) -> dict[str, Callable[[], object]]:
    """Reach any host or socket outside."""
    port = int(facts["port"])
    return {
        "TCP to the host": lambda: connect(socket.AF_INET, ("127.0.0.1", port)),
        "TCP by bash": lambda: command("bash", "-c", f"echo > /dev/tcp/127.0.0.1/{port}"),
        "TCP outside": lambda: connect(socket.AF_INET, ("192.0.2.1", 80)),
        "UDP outside": lambda: connect(socket.AF_INET, ("192.0.2.1", 53), socket.SOCK_DGRAM),
        "DNS": lambda: bool(socket.getaddrinfo("example.org", 80)),
        "unix socket by path": lambda: connect(socket.AF_UNIX, facts["unix_socket"]),
        "abstract unix socket": lambda: connect(socket.AF_UNIX, facts["abstract_socket"]),
        "packet socket": lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close(),
        "kernel crypto socket": lambda: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET).close(),
    }


def nodes() -> dict[str, Callable[[], object]]:
    """Opening the switches of the kernel for writing (nothing is written), and raw
    memory at all.
    """
    written = (
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/modprobe",
        "/proc/sys/kernel/hostname",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sys/user/max_user_namespaces",
        "/proc/sys/fs/binfmt_misc/register",
        "/proc/sysrq-trigger",
        "/proc/irq/default_smp_affinity",
        "/sys/kernel/mm/transparent_hugepage/enabled",
        "/sys/power/state",
    )
    opened: dict[str, Callable[[], object]] = {
        f"write {path}": partial(open_and_close, path, os.O_WRONLY) for path in written
    }
    for path in ("/proc/kcore", "/dev/kmsg", "/dev/vda", "/dev/sda", "/dev/mem"):
        opened[f"read {path}"] = partial(open_and_close, path, os.O_RDONLY)
    return opened


def open_and_close(path: str, flags: int) -> None:
    """Open a file as it is and leave it so."""
    os.close(os.open(path, flags))


def signal_host(facts: dict[str, str]) -> bool:
    """Signal a process by its number outside; in the sandbox it may be unused, or ours."""
    os.kill(int(facts["host_pid"]), 0)
    return facts["host_pid_name"] in Path(f"/proc/{facts['host_pid']}/cmdline").read_text("utf-8")


def refused() -> bool:
    """Stand in for an attempt whose precondition is already missing."""
    return False


def environments() -> str:
    """Read the environment of every process that can be seen."""
    found = ""
    for folder in Path("/proc").glob("[0-9]*"):
        if folder.name != str(os.getpid()):
            try:
                found += (folder / "environ").read_text("utf-8", "replace")
            except OSError:
                continue
    return found


def command(*argv: str) -> bool:
    """Run a program and return whether it succeeded."""
    return not subprocess.run(argv, check=False, capture_output=True, stdin=DEVNULL).returncode


def connect(
    family: int, address: str | tuple[str, int], kind: socket.SocketKind = socket.SOCK_STREAM
) -> None:
    """Connect and leave."""
    with socket.socket(family, kind) as client:
        client.settimeout(1)
        client.connect(address)


def clone_user_namespace() -> bool:
    """Ask clone itself, past every wrapper; the child leaves at once."""
    number = {"x86_64": 56, "aarch64": 220}[platform.machine()]
    child = LIBC.syscall(number, NEW_USER | signal.SIGCHLD, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    return bool(child > 0)


def denied_by_filter(number: int, argument: int) -> bool:
    """Return whether a call fails with the filter's EPERM, not with an error of its own."""
    LIBC.syscall(number, argument, 0, 0, 0, 0)
    return ctypes.get_errno() not in {1, 13}


def type_into_terminal() -> bool:
    """Push a character into a terminal made here; allowed anywhere the filter is not."""
    leader, follower = os.openpty()
    try:
        LIBC.ioctl(follower, TIOCSTI, b"x")
        return ctypes.get_errno() != 1
    finally:
        os.close(leader)
        os.close(follower)


if __name__ == "__main__":
    main()
