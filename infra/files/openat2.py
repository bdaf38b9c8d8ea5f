"""The system call that opens a path beneath a folder, through no link, in one step."""

import ctypes
import errno
import os
import struct

_OPENAT2 = 437  # the same number on every architecture
_RESOLVE = 0x08 | 0x04 | 0x02  # BENEATH, NO_SYMLINKS, NO_MAGICLINKS
_TRIES = 64  # openat2 says "again" when a rename elsewhere raced with a resolution

_libc = ctypes.CDLL(None, use_errno=True)


def open_beneath(folder: int, path: str, flags: int) -> int:
    """Open a path beneath an open folder; return a descriptor that children do not inherit.

    Raises:
        OSError: ELOOP for a link on the way, EXDEV for a path that leads out, else as `open`.
    """
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, 0, _RESOLVE)
    code = 0
    for _ in range(_TRIES):
        fd = int(_libc.syscall(_OPENAT2, folder, os.fsencode(path), how, len(how)))
        if fd >= 0:
            return fd
        code = ctypes.get_errno()
        if code not in {errno.EAGAIN, errno.EINTR}:
            break
    raise OSError(code, os.strerror(code))
