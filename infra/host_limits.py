"""What this host has for us: memory, its own or what a control group leaves of it; processes."""

import os
import resource
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")


def memory_bytes() -> int:
    """Return the memory that this process and its children may use together."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_group_limits()])


def own_processes() -> int | None:
    """Return how many processes this user may have, those of its commands among them; None = any.

    Commands of root run as users of their own.
    """
    most = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    return None if os.geteuid() == 0 or most == resource.RLIM_INFINITY else most


def _group_limits() -> list[int]:
    """Return the limits of this process's groups and of all above them, of both hierarchies."""
    try:
        rows = Path("/proc/self/cgroup").read_text("utf-8", "replace").splitlines()
    except OSError:
        return []
    found: list[int] = []
    for row in rows:
        _, controllers, path = row.split(":", 2)
        if controllers == "":
            found += _above(_GROUPS, path, "memory.max")
        elif "memory" in controllers.split(","):
            found += _above(_GROUPS / "memory", path, "memory.limit_in_bytes")
    return found


def _above(mount: Path, path: str, name: str) -> list[int]:
    """Return the limits that stand in a group's folder and in those above; "max" is none."""
    folder = mount / path.strip("/")
    # Inside a container the path may be the host's: then its own group is the mount itself.
    folders = [each for each in (folder, *folder.parents) if each.is_relative_to(mount)]
    found: list[int] = []
    for each in folders:
        try:
            text = (each / name).read_text("ascii").strip()
        except OSError:
            continue
        if text.isdecimal():
            found.append(int(text))
    return found
