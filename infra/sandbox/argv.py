"""bubblewrap's arguments: the sandbox's inside, and how a payload loses its privileges.

Nothing is started here. The order matters: covers come before what is shown again below them, so
that the more specific mount always wins.
"""

import os
import platform
import pwd
import re
import resource
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from domain.command_limits import file_bytes
from infra.sandbox.scratch import make_ready
from infra.sandbox.shared_paths import mountable, overlay_arguments
from infra.sandbox.toolchain import exists, installations, toolchain_binds, toolchain_variables
from infra.sandbox.types import PROJECT, SYSTEM_CONFIG, Mounts, SandboxCommand

SETPRIV = "/usr/bin/setpriv"
"""Drops the privileges of a payload; an absolute path, because PATH may lead into a worktree."""

BASH = "/bin/bash"
"""Becomes the payload."""

FIRST_VICTIM = (
    *(BASH, "--noprofile", "--norc", "-c"),
    'echo 1000 2>/dev/null >/proc/self/oom_score_adj; exec -c "$@"',
    "bash",
)
"""Starts a sandbox as what the kernel ends first when memory runs out, before worker and server.

All its processes inherit it; one that takes it back loses that again, see `usage.py`.
"""

SHELL_OPTIONS = ("-o", "pipefail")
"""How bash runs every command: a pipe fails when any of its commands does."""

_TMP = Path("/tmp")  # noqa: S108
_HIDDEN = ("/root", "/home", "/run", str(_TMP))
_HOME = _TMP / "home"
_SYSTEM = frozenset({"bin", "boot", "dev", "etc", "lib", "lib64", "proc", "sbin", "sys", "usr"})
_VISIBLE = _SYSTEM - {"boot", "proc", "dev"} | {"lib32", "libx32", "opt", "nix", "gnu", "snap"}
_VISIBLE_DATA = tuple(
    Path("/var", name)
    for name in ("lib/dpkg", "lib/gems", "lib/ghc", "lib/texmf", "cache/fontconfig")
)
_MADE_ANEW = frozenset({"dev", "proc"})
_NOTHING = Path("/dev/null")
_PASSWORDS = ("/etc/shadow", "/etc/gshadow")
_RESOLVER = Path("/etc/resolv.conf")

_LINKS = 1_000
_COVER_BYTES = 1 << 20
_OPEN_FILES = 4_096
_PROCESSES_OF_A_USER = 4_096
_SPARE_PROCESSES = 16
_COUNTED_BY_NAMESPACE = (5, 14)
_SPARE_CPU_SECONDS = 60


def is_root() -> bool:
    """Return whether this worker is root, which decides how it enters the sandbox."""
    return os.geteuid() == 0


def launch_arguments(
    mounts: Mounts, command: SandboxCommand, filter_fd: int
) -> Callable[[int, int], list[str]]:
    """Prepare everything after the launcher's own name, but the descriptors of `Launch.argv`.

    Looks at the file system (what is hidden, which tools lie there), so it may take milliseconds.
    All paths of `mounts` are absolute and resolved; `filter_fd` holds the system call filter.
    """
    checkout, unlisted = _checkout(mounts), unlisted_roots()
    hidden = tuple(sorted({*_hidden(mounts), *unlisted, *filter(None, (checkout,))}))
    written = (mounts.worktree, mounts.private_git, mounts.store)
    tools = (
        *toolchain_binds(command.path, command.virtual_env, hidden, untrusted=written),
        *installations(command.path, unlisted, untrusted=(*written, *mounts.hide)),
        *filter(exists, _VISIBLE_DATA),
    )
    variables = {
        **toolchain_variables(command.path, untrusted=written),
        "GIT_CONFIG_SYSTEM": str(mounts.private_git / SYSTEM_CONFIG),
    }
    names = _resolver(hidden) if command.network else ()
    shown = replace(mounts, read=(*mounts.read, *tools, *names))
    view = _view(shown, hidden, in_project=command.network)
    if mounts.scratch is not None:
        _prepare(mounts.scratch, view, mounts.uid)
    fixed = [
        *_isolation(network=command.network),
        *_environment(command, variables),
        *_mount_arguments(view, command.limits.memory_bytes),
        *_links(shown, checkout, hidden),
        *_project_link(mounts, command),
        *_closed(view),
        *("--chdir", "/"),
    ]

    def complete(status_fd: int, marker_fd: int) -> list[str]:
        return [
            *fixed,
            *("--json-status-fd", str(status_fd)),
            *("--seccomp", str(filter_fd), "--"),
            *_payload(mounts, command, marker_fd),
        ]

    return complete


def _isolation(*, network: bool) -> Iterator[str]:
    """Yield which namespaces are new and which privileges are left."""
    if is_root():
        yield from ("--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try")
        yield from () if network else ("--unshare-net",)
        # What setpriv needs to drop the rest; the seccomp filter stops nested user namespaces.
        yield from ("--cap-drop", "ALL", "--cap-add", "CAP_SETUID")
        yield from ("--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP")
    else:
        yield from ("--unshare-all", "--unshare-user", "--disable-userns", "--cap-drop", "ALL")
        yield from ("--share-net",) if network else ()
    yield from ("--die-with-parent", "--new-session", "--hostname", "sandbox")


def _environment(command: SandboxCommand, variables: Mapping[str, str]) -> Iterator[str]:
    """Start from an empty environment; the command's own variables come later, see `_payload`."""
    yield "--clearenv"
    fixed = {
        "PATH": command.path,
        "HOME": str(_HOME),
        "USER": "sandbox",
        "LOGNAME": "sandbox",
        "LANG": "C.UTF-8",
        **variables,
    }
    if command.virtual_env is not None:
        fixed["VIRTUAL_ENV"] = str(command.virtual_env)
    for name, value in fixed.items():
        yield from ("--setenv", name, value)


@dataclass(frozen=True)
class _Mount:
    """One thing to mount: `source` None is an empty memory file system.

    `changes` is a folder that keeps what is written over the source.
    """

    target: Path
    source: Path | None
    writable: bool = field(default=False, kw_only=True)
    changes: Path | None = field(default=None, kw_only=True)


def unlisted_roots() -> tuple[Path, ...]:
    """Return what stands at the top of the file system and is none of the system's folders.

    It is covered, whatever it holds: files that only the worker's user may read, sockets and FIFOs
    of other programs, which may appear while a command runs.
    """
    with os.scandir("/") as entries:
        found = [entry for entry in entries if entry.name not in _VISIBLE | _MADE_ANEW]
    return tuple(sorted(Path(entry.path) for entry in found if not entry.is_symlink()))


def _hidden(mounts: Mounts) -> tuple[Path, ...]:
    """Return the folders to cover: the fixed ones, this worker's home, the caller's, closed ones.

    A folder that only its owner may enter keeps the payload from what is mounted from below it,
    and nothing else in it could be read anyway: a cover makes it enterable.
    """
    folders = [*map(Path, _HIDDEN), *_own_home(), *mounts.hide]
    covered = {folder.resolve() for folder in folders if exists(folder)}
    if is_root():
        for target in (mounts.worktree, mounts.private_git, mounts.store, *mounts.read):
            covered.update(p for p in target.parents if not p.stat().st_mode & stat.S_IXOTH)
    return tuple(sorted(covered - {Path("/")}))


def _checkout(mounts: Mounts) -> Path | None:
    """Return the user's checkout when covering it covers nothing that commands need."""
    folder = mounts.shadows_checkout
    if folder is None or not exists(folder) or not folder.is_dir():
        return None
    written = (mounts.worktree, mounts.private_git, mounts.store)
    top = folder.parts[1:3]
    apart = bool(top) and (top[0] not in _SYSTEM or (top == ("usr", "src") and folder.parts[3:]))
    inside = any(folder.is_relative_to(each) for each in written)
    return folder if apart and not inside else None


def _links(mounts: Mounts, checkout: Path | None, hidden: Sequence[Path]) -> Iterator[str]:
    """Yield the links by which the worktree's files are found where the checkout has them."""
    if checkout is None:
        return
    cover = next(folder for folder in hidden if checkout.is_relative_to(folder))
    yield from _parents(checkout / "name", cover)
    others = (mounts.worktree, mounts.private_git, mounts.store, *mounts.read)
    inside = (each.relative_to(checkout) for each in others if each.is_relative_to(checkout))
    taken = {".git", *(each.parts[0] for each in inside)}
    names = sorted(entry.name for entry in os.scandir(mounts.worktree) if entry.name not in taken)
    for name in names[:_LINKS]:
        yield from ("--symlink", str(mounts.worktree / name), str(checkout / name))


def _project_link(mounts: Mounts, command: SandboxCommand) -> Iterator[str]:
    if mounts.project and not command.network:
        yield from ("--symlink", str(mounts.worktree), str(PROJECT))


def _resolver(hidden: Sequence[Path]) -> tuple[Path, ...]:
    """Return the file that says who resolves names, where it lies among what is hidden."""
    file = _RESOLVER.resolve()
    covered = any(file.is_relative_to(each) for each in hidden)
    return (file,) if covered and file.is_file() else ()


def _own_home() -> list[Path]:
    """Return the worker's home, unless it has none or one in a system folder."""
    try:
        home = Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        return []
    return [home] if home.parts[1:2] and home.parts[1] not in _SYSTEM else []


def _view(mounts: Mounts, hidden: Sequence[Path], *, in_project: bool = False) -> list[_Mount]:
    """Order everything from the outside in, so that the more specific always wins."""
    covers = {path: None if path.is_dir() else _NOTHING for path in hidden}
    tmp = [] if mounts.scratch is None else [_Mount(_TMP, mounts.scratch, writable=True)]
    wanted = [
        *(_Mount(path, source) for path, source in covers.items() if path != _TMP or not tmp),
        *tmp,
        *(_Mount(path, path) for path in mounts.read),
        _Mount(mounts.store, mounts.store),
        _Mount(mounts.worktree, mounts.worktree, writable=True),
        _Mount(mounts.private_git, mounts.private_git, writable=True),
        _Mount(mounts.worktree / ".git", mounts.gitfile),
        *(_project(mounts) if in_project else _shared(mounts)),
        *_guarded(mounts),
    ]
    return sorted(wanted, key=lambda each: len(each.target.parts))


def _guarded(mounts: Mounts) -> Iterator[_Mount]:
    """Yield covers over what may not be read, and what may not be changed once more, read-only."""
    for path in (mounts.worktree / each for each in mounts.closed):
        if exists(path):
            yield _Mount(path, None if path.is_dir() else _NOTHING)
    for path in (mounts.worktree / each for each in mounts.kept):
        if exists(path):
            yield _Mount(path, path)


def _project(mounts: Mounts) -> Iterator[_Mount]:
    """Yield the worktree once more, at the place that leads to each worktree later."""
    yield _Mount(PROJECT, mounts.worktree, writable=True)
    yield _Mount(PROJECT / ".git", mounts.gitfile)


def _shared(mounts: Mounts) -> Iterator[_Mount]:
    """Yield the host's folders that stand in the worktree, as far as there is room for them."""
    owner = mounts.uid if is_root() else None
    for place, folder, kept in mountable(
        mounts.shared, mounts.worktree, mounts.changes, home=_HOME, uid=owner
    ):
        yield _Mount(place, folder.source, changes=kept)


def _prepare(scratch: Path, view: Sequence[_Mount], uid: int) -> None:
    """Make HOME in the scratch, and the places at which the view mounts something below /tmp."""
    home = scratch / _HOME.relative_to(_TMP)
    points: list[Path] = [_HOME.relative_to(_TMP)]
    files: list[Path] = []
    for mount in view:
        around = [each.target for each in view if each.target in mount.target.parents]
        if max(around, key=lambda path: len(path.parts), default=None) == _TMP:
            folder = mount.source is None or mount.source.is_dir()
            (points if folder else files).append(mount.target.relative_to(_TMP))
    make_ready(scratch, points, files=files)
    if is_root() and home.stat().st_uid != uid:
        os.chown(home, uid, uid, follow_symlinks=False)


def _mount_arguments(view: Sequence[_Mount], size_bytes: int) -> Iterator[str]:
    """Yield the mounts: the host read-only, fresh /dev and /proc, then the view.

    A file system in memory that can be written may hold `size_bytes`.
    """
    yield from ("--ro-bind", "/", "/", "--dev", "/dev")
    yield from ("--perms", "1777", "--size", str(size_bytes), "--tmpfs", "/dev/shm")  # noqa: S108
    # The kernel's switches follow the global user 0 and need a cover of their own.
    yield from ("--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys")
    for password in filter(os.path.exists, _PASSWORDS):
        yield from ("--ro-bind", "/dev/null", password)
    for mount, around in _mounted(view):
        if mount.source is not None and around is not None and around.source is None:
            yield from _parents(mount.target, around.target)
        yield from _one_mount(mount, size_bytes)
    yield from ("--perms", "0777", "--dir", str(_HOME))


def _mounted(view: Sequence[_Mount]) -> Iterator[tuple[_Mount, _Mount | None]]:
    """Yield what is mounted, each with what it is mounted inside, None = the host's root."""
    done: list[_Mount] = []
    for mount in view:
        around = next((m for m in reversed(done) if mount.target.is_relative_to(m.target)), None)
        if mount.source is None and around is not None and around.source is None:
            continue  # Covered already, with nothing shown again in between.
        yield mount, around
        done.append(mount)


def _closed(view: Sequence[_Mount]) -> Iterator[str]:
    """Close covers and /dev to writing, when everything in them is made.

    A worker that is not root owns them inside: its commands could fill the host's memory there.
    """
    covers = (mount.target for mount, _ in _mounted(view) if mount.source is None)
    for folder in (Path("/dev"), *(cover for cover in covers if cover != _TMP)):
        yield from ("--remount-ro", str(folder))


def _one_mount(mount: _Mount, size_bytes: int) -> Iterator[str]:
    if mount.source is not None and mount.changes is not None:
        yield from overlay_arguments(mount.source, mount.changes, mount.target)
        return
    if mount.source is not None:
        yield from ("--bind" if mount.writable else "--ro-bind", str(mount.source))
    elif mount.target == _TMP:
        yield from ("--perms", "1777", "--size", str(size_bytes), "--tmpfs")
    else:
        yield from ("--perms", "0755", "--size", str(_COVER_BYTES), "--tmpfs")
    yield str(mount.target)


def _parents(target: Path, cover: Path) -> Iterator[str]:
    """Recreate the folders between a cover and a target, enterable: bubblewrap makes them 0700."""
    for parent in reversed(target.parents):
        if cover in parent.parents:
            yield from ("--perms", "0755", "--dir", str(parent))


def _payload(mounts: Mounts, command: SandboxCommand, marker: int) -> Iterator[str]:
    """Drop privileges, set limits, report the start, then become the command.

    The command's own variables are set only here: LD_PRELOAD must not reach `setpriv`, which
    still holds privileges. Nothing is looked up on PATH, which may lead into the worktree.
    """
    if is_root():
        ids = (f"--reuid={mounts.uid}", f"--regid={mounts.uid}")
        yield from (SETPRIV, *ids, "--clear-groups")
        yield from ("--inh-caps=-all", "--bounding-set=-all", "--no-new-privs")
    cpu = int(command.timeout_seconds) * (os.cpu_count() or 1) + _SPARE_CPU_SECONDS
    file_kib = -(-file_bytes(command.limits) // 1_024)
    limits = f"-c 0 -t {cpu} -f {file_kib} -n {_within_limit(resource.RLIMIT_NOFILE, _OPEN_FILES)}"
    processes = process_limit(command.limits.processes)
    yield from (BASH, "--noprofile", "--norc", "-c")
    yield (
        f"umask 022; ulimit {limits} -u {processes} || exit 125; "
        f"printf s >&{marker} || exit 125; exec {marker}>&-; "
        'cd -- "$1" || exit 1; (($# < 3)) || export -- "${@:3}"; '
        f'exec -a bash {BASH} {" ".join(SHELL_OPTIONS)} -c "$2"'
    )
    place = PROJECT if command.network else mounts.worktree
    yield from ("sandbox", str(place / command.cwd), command.line)
    yield from (f"{name}={value}" for name, value in command.env.items())


def process_limit(wanted: int) -> int:
    """Return what RLIMIT_NPROC is to be, by whom the kernel counts.

    Of root's sandboxes each has a user of its own, so it counts one command; of another worker's,
    it counts the user namespace, also one command, since Linux 5.14. Before, it counts all
    processes of the worker's user, and only the watch counts the command's. The sandbox's own
    processes come on top, so that the watch sees a command at its limit.
    """
    old = not is_root() and _kernel() < _COUNTED_BY_NAMESPACE
    most = max(_PROCESSES_OF_A_USER, wanted) if old else wanted
    return _within_limit(resource.RLIMIT_NPROC, most + _SPARE_PROCESSES)


def _kernel() -> tuple[int, ...]:
    """Return the kernel's version, () where it cannot be read."""
    found = re.match(r"(\d+)\.(\d+)", platform.release())
    return tuple(map(int, found.groups())) if found else ()


def _within_limit(kind: int, wanted: int) -> int:
    """Return the wanted limit, or the worker's own hard limit where that is lower."""
    hard = resource.getrlimit(kind)[1]
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
