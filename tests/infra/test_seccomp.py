"""The system call filter: its bytes run through a small interpreter of classic BPF."""

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.sandbox.seccomp import ARCHITECTURES, DENIED_FAMILIES, DENIED_IOCTLS, filter_bytes

ALLOW = 0x7FFF0000
KILL = 0x80000000
REFUSE = 0x00050000 | errno.EPERM
ABSENT = 0x00050000 | errno.ENOSYS

NEW_USER = 0x10000000
X32 = 0x40000000
HIGH = 1 << 32

architectures = st.sampled_from(sorted(ARCHITECTURES))
both = pytest.mark.parametrize("arch", sorted(ARCHITECTURES))


def verdict(program: bytes, number: int, arguments: tuple[int, int] = (0, 0), *, audit: int) -> int:
    """Interpret the filter for one system call, as the kernel does."""
    data = struct.pack("<IIQ6Q", number, audit, 0, *arguments, 0, 0, 0, 0)
    code = list(struct.iter_unpack("<HBBI", program))
    accumulator, position = 0, 0
    while True:
        operation, then, otherwise, value = code[position]
        position += 1
        match operation:
            case 0x20:
                (accumulator,) = struct.unpack_from("<I", data, value)
            case 0x06:
                return int(value)
            case 0x15:
                position += then if accumulator == value else otherwise
            case 0x35:
                position += then if accumulator >= value else otherwise
            case 0x45:
                position += then if accumulator & value else otherwise
            case _:
                raise AssertionError(operation)


def judge(
    arch: str, number: int, arguments: tuple[int, int] = (0, 0), *, deny_unix: bool = False
) -> int:
    """Judge one native system call."""
    program = filter_bytes(arch, deny_unix_sockets=deny_unix)
    return verdict(program, number, arguments, audit=ARCHITECTURES[arch].audit)


@both
def test_every_denied_call_gets_eperm(arch: str) -> None:
    """Each call of the table is refused with any arguments."""
    denied = ARCHITECTURES[arch].denied

    assert {REFUSE} == {judge(arch, number, (NEW_USER, 1)) for number in denied.values()}


def test_both_tables_name_the_same_calls() -> None:
    """No architecture is protected less than another."""
    names = [sorted(each.denied) for each in ARCHITECTURES.values()]

    assert names[0] == names[1]
    assert {"mount", "unshare", "setns", "ptrace", "bpf", "io_uring_setup"} <= set(names[0])


@given(architectures, st.integers(0, X32 - 1))
def test_any_other_call_is_allowed(arch: str, number: int) -> None:
    """The filter takes nothing away that is not in its tables."""
    table = ARCHITECTURES[arch]
    if number in {*table.denied.values(), table.clone3}:
        return

    assert judge(arch, number) == ALLOW


@given(architectures, st.integers(0, 600), st.integers(0, 0xFFFFFFFF))
def test_a_foreign_calling_convention_ends_the_process(arch: str, number: int, audit: int) -> None:
    """Numbers mean something else there, so nothing may pass under them."""
    if audit == ARCHITECTURES[arch].audit:
        return

    assert verdict(filter_bytes(arch, deny_unix_sockets=False), number, audit=audit) == KILL


@given(st.integers(0, 0xBFFFFFFF))
def test_x32_does_not_exist(number: int) -> None:
    """The second convention of x86_64 shares the audit value and differs in a bit of the number."""
    assert judge("x86_64", X32 + number) == ABSENT


@both
def test_clone3_does_not_exist_so_that_libc_falls_back(arch: str) -> None:
    """Its flags cannot be inspected; clone's can."""
    assert judge(arch, ARCHITECTURES[arch].clone3) == ABSENT


@given(architectures, st.integers(0, 2**64 - 1))
def test_clone_may_not_make_a_user_namespace(arch: str, flags: int) -> None:
    """One flag decides, the other 63 bits do not."""
    expected = REFUSE if flags & NEW_USER else ALLOW

    assert judge(arch, ARCHITECTURES[arch].clone, (flags, 0)) == expected


@given(architectures, st.integers(0, 50), st.booleans(), st.integers(0, 2**32 - 1))
def test_socket_families(arch: str, family: int, deny_unix: bool, high: int) -> None:  # noqa: FBT001
    """Exotic families are refused, unix sockets on request, with any value in the unused half."""
    refused = family in DENIED_FAMILIES or (deny_unix and family == 1)
    seen = judge(arch, ARCHITECTURES[arch].socket, (family + high * HIGH, 0), deny_unix=deny_unix)

    assert seen == (REFUSE if refused else ALLOW)


@both
def test_typing_into_a_terminal_is_refused(arch: str) -> None:
    """The second argument decides, in its lower half, as the kernel reads it."""
    ioctl = ARCHITECTURES[arch].ioctl

    assert {judge(arch, ioctl, (0, request)) for request in DENIED_IOCTLS} == {REFUSE}
    assert {judge(arch, ioctl, (0, request + HIGH)) for request in DENIED_IOCTLS} == {REFUSE}
    assert judge(arch, ioctl, (DENIED_IOCTLS[0], 0x5413)) == ALLOW


@both
def test_the_program_is_small_and_whole(arch: str) -> None:
    """Eight bytes an instruction, and jumps fit their byte."""
    program = filter_bytes(arch, deny_unix_sockets=True)

    assert len(program) % 8 == 0
    assert len(program) // 8 < 100


def test_an_unknown_architecture_is_refused() -> None:
    """No table, no filter, and the message names what there is."""
    with pytest.raises(ValueError, match="x86_64, aarch64"):
        filter_bytes("riscv64", deny_unix_sockets=False)
