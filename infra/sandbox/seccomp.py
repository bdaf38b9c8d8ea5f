"""The system calls a sandboxed command may not make, as a classic-BPF program.

A pure generator for the two architectures the product runs on: names in, bytes out; `sandbox.py`
gives the bytes to bubblewrap, which installs them. The filter allows by default and denies what
widens the attack surface of the kernel, or would let a command create a new namespace and undo the
read-only mounts in it.
"""

import errno
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL_PROCESS = 0x80000000

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_GREATER_EQUAL = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_JUMP_BITS_SET = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K

# Offsets into struct seccomp_data; both architectures are little-endian, so the low half of a
# 64-bit argument comes first. The kernel reads all arguments tested here as 32-bit values.
_NUMBER = 0
_ARCHITECTURE = 4
_ARGUMENT_0 = 16
_ARGUMENT_1 = 24

_CLONE_NEWUSER = 0x10000000
_X32_BIT = 0x40000000

AF_UNIX = 1
"""Unix sockets: denied on request only, many honest programs need them."""

DENIED_FAMILIES = (17, 38, 40, 44)
"""AF_PACKET, AF_ALG, AF_VSOCK, AF_XDP: kernel surface no build or test needs."""

DENIED_IOCTLS = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX: typing into the terminal in which the worker was started."""

_DENIED = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "bpf": (321, 280),
    "delete_module": (176, 106),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438),
    "pivot_root": (155, 41),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setns": (308, 268),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
}
"""System calls refused with any arguments: their numbers on x86_64 and on aarch64."""


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """The numbers of one processor family that the filter needs.

    Attributes:
        audit: the AUDIT_ARCH value the kernel reports for native system calls.
        clone: its flags are inspected.
        clone3: its flags cannot be.
        x32: whether the kernel may offer the x32 calling convention beside the native one.
        denied: refused with any arguments.
    """

    audit: int
    clone: int
    clone3: int
    socket: int
    ioctl: int
    x32: bool
    denied: Mapping[str, int]


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "x86_64": Architecture(
            audit=0xC000003E,
            clone=56,
            clone3=435,
            socket=41,
            ioctl=16,
            x32=True,
            denied={name: x86 for name, (x86, _) in _DENIED.items()},
        ),
        "aarch64": Architecture(
            audit=0xC00000B7,
            clone=220,
            clone3=435,
            socket=198,
            ioctl=29,
            x32=False,
            denied={name: arm for name, (_, arm) in _DENIED.items()},
        ),
    }
)
"""Supported processor families, by the name `uname -m` prints."""


@dataclass(frozen=True)
class _Instruction:
    """One BPF instruction; `then` and `otherwise` name labels, empty falls through."""

    code: int
    value: int
    then: str = ""
    otherwise: str = ""


_Line = _Instruction | str


def filter_bytes(arch: str, *, deny_unix_sockets: bool) -> bytes:
    """Return the filter for a key of `ARCHITECTURES` as an array of `struct sock_filter`.

    On request, `socket(AF_UNIX, …)` is refused as well; `socketpair` stays.

    Raises:
        ValueError: there is no table for `arch`.
    """
    if arch not in ARCHITECTURES:
        raise ValueError(f"No system call table for {arch!r}; known: {', '.join(ARCHITECTURES)}.")
    return _assemble(_program(ARCHITECTURES[arch], deny_unix_sockets=deny_unix_sockets))


def _program(arch: Architecture, *, deny_unix_sockets: bool) -> list[_Line]:
    """Return the filter with labels: architecture, number, then arguments where they matter."""
    families = (AF_UNIX, *DENIED_FAMILIES) if deny_unix_sockets else DENIED_FAMILIES
    return [
        _Instruction(_LOAD, _ARCHITECTURE),
        # A foreign convention has other numbers, so the rules below would not apply: kill it.
        _Instruction(_JUMP_EQUAL, arch.audit, otherwise="kill"),
        _Instruction(_LOAD, _NUMBER),
        *([_Instruction(_JUMP_GREATER_EQUAL, _X32_BIT, then="absent")] if arch.x32 else []),
        # Its flags live in memory, out of a filter's reach: libc falls back to clone on ENOSYS.
        _Instruction(_JUMP_EQUAL, arch.clone3, then="absent"),
        *(_Instruction(_JUMP_EQUAL, number, then="refuse") for number in arch.denied.values()),
        _Instruction(_JUMP_EQUAL, arch.clone, otherwise="not_clone"),
        _Instruction(_LOAD, _ARGUMENT_0),
        _Instruction(_JUMP_BITS_SET, _CLONE_NEWUSER, then="refuse", otherwise="allow"),
        "not_clone",
        _Instruction(_JUMP_EQUAL, arch.socket, otherwise="not_socket"),
        _Instruction(_LOAD, _ARGUMENT_0),
        *(_Instruction(_JUMP_EQUAL, family, then="refuse") for family in families),
        _Instruction(_RETURN, _ALLOW),
        "not_socket",
        _Instruction(_JUMP_EQUAL, arch.ioctl, otherwise="allow"),
        _Instruction(_LOAD, _ARGUMENT_1),
        *(_Instruction(_JUMP_EQUAL, request, then="refuse") for request in DENIED_IOCTLS),
        "allow",
        _Instruction(_RETURN, _ALLOW),
        "refuse",
        _Instruction(_RETURN, _ERRNO | errno.EPERM),
        "absent",
        _Instruction(_RETURN, _ERRNO | errno.ENOSYS),
        "kill",
        _Instruction(_RETURN, _KILL_PROCESS),
    ]


def _assemble(program: list[_Line]) -> bytes:
    """Resolve labels to relative jumps; all jumps go forward, by 255 instructions at most."""
    labels: dict[str, int] = {}
    instructions: list[_Instruction] = []
    for line in program:
        if isinstance(line, str):
            labels[line] = len(instructions)
        else:
            instructions.append(line)
    return b"".join(
        struct.pack(
            "<HBBI",
            each.code,
            _distance(labels, each.then, position),
            _distance(labels, each.otherwise, position),
            each.value,
        )
        for position, each in enumerate(instructions)
    )


def _distance(labels: Mapping[str, int], label: str, position: int) -> int:
    """Count the instructions to skip from `position` to `label`; no label is the next one."""
    return labels[label] - position - 1 if label else 0
