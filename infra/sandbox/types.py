"""What the sandbox takes and returns: mounts and a command in, an outcome out, or one exception.

Values only. Import these names from `infra.sandbox`.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from domain.command_limits import CommandLimits

PAYLOAD_UID = 60_000
"""User id of the payload when the worker is root and no other is given."""

Limit = Literal["time", "output", "memory", "system memory", "processes", "disk"]
"""What a command may exceed; "system memory" is the host's, at which the kernel ended it."""

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH inside when the operator configured none."""

PROJECT = Path("/run/project")
"""Where the worktree is found too in a sandbox that asks for it, whichever worktree that is.

What a setup step installs holds paths (the first line of a program, an editable install): by this
name they lead to the files of every worktree that is given the result.
"""

SYSTEM_CONFIG = "gitconfig"
"""The file of `private_git` that git takes for the machine's configuration, with an identity."""


class SandboxUnavailable(Exception):  # noqa: N818
    """Commands cannot be contained here; the text is one sentence with the remedy.

    Retrying does not help: the machine or the configuration has to change first.
    """


@dataclass(frozen=True, kw_only=True)
class SharedFolder:
    """A folder of the host that stands in the worktree too, such as installed dependencies.

    Attributes:
        path: in the worktree, its components separated by "/".
        in_home: it is in HOME instead.
        source: the folder itself, absolute.
        below: the folder of the worktree in which it stands: never made, should an agent have
            removed it, while what lies between the two is.
        read_only: no command may write there; else what it writes is kept apart, and `source`
            stays as it is.
    """

    path: str
    source: Path
    in_home: bool = False
    below: str = ""
    read_only: bool = False

    @property
    def name(self) -> str:
        """Return a file name for it, another one for each path and source."""
        return hashlib.sha256(f"{self.path}\0{self.source}".encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class Mounts:
    """What a command sees of the product: one worktree to write, the rest to read or not at all.

    Attributes:
        worktree: checked-out files, writable; its `.git` must be a file.
        store: what git commands borrow objects from, readable; its files must be readable for all
            when the worker is root.
        private_git: the worktree's private git directory, writable.
        gitfile: a file `gitdir: <private_git>`, mounted read-only over `worktree/.git`.
        scratch: a folder that is /tmp inside, HOME in it, and keeps what a command leaves there;
            None = /tmp is in memory and ends with the command.
        uid: user and group id of the payload when the worker is root, one per worktree so that
            worktrees cannot signal or read each other. Without effect when it is not.
        hide: folders or files to cover besides /root, /home, /run, /tmp and the worker's own
            home; what is mounted from below them is shown again.
        read: further files or folders to show read-only.
        shadows_checkout: the user's own checkout, covered so that nothing uncommitted can be
            read; links in its place lead to what lies at the worktree's top, because an
            environment with an editable install leads there. None, and folders of the system:
            nothing is covered.
        shared: folders of the host that commands find in the worktree.
        changes: a folder that keeps what commands write over those; None = nothing can be
            written there.
        project: a link `PROJECT` leads to the worktree.
        closed: files and folders of the worktree that are empty inside; paths in it.
        kept: those that can be read and not changed.

    Raises:
        ValueError: `uid` is not positive.
    """

    worktree: Path
    store: Path
    private_git: Path
    gitfile: Path
    scratch: Path | None = None
    uid: int = PAYLOAD_UID
    hide: tuple[Path, ...] = ()
    read: tuple[Path, ...] = ()
    shadows_checkout: Path | None = None
    shared: tuple[SharedFolder, ...] = ()
    changes: Path | None = None
    project: bool = False
    closed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse user 0: it is never contained."""
        if self.uid <= 0:
            raise ValueError("The payload of a sandbox cannot be user 0.")


@dataclass(frozen=True, kw_only=True)
class SandboxCommand:
    """A shell line and what it may use up.

    Attributes:
        line: run by `bash -o pipefail -c`.
        cwd: where, relative to the worktree.
        timeout_seconds: wall clock; then the command is ended with all its processes.
        output_limit_bytes: more than this, stdout and stderr together, ends it too.
        limits: more memory, processes or disk than this ends it too; sampled four times a second,
            so a fast command may overshoot. The kernel bounds processes, the size of a file and
            what /dev/shm may hold at once.
        env: variables beside PATH, HOME, USER, LOGNAME, LANG and VIRTUAL_ENV; nothing of the
            worker's environment is inherited.
        path: PATH inside. Entries below hidden folders are shown read-only, see
            `toolchain_binds`.
        virtual_env: the project's virtual environment outside the worktree, if any.
        network: it has the host's network, and works in `PROJECT`, where the worktree is mounted
            a second time. Unix sockets are denied to it, as those of the host would be in reach.

    Raises:
        ValueError: a variable's name is not a shell name.
    """

    line: str
    cwd: str = "."
    timeout_seconds: float = 120
    output_limit_bytes: int = 10_000_000
    limits: CommandLimits = field(default_factory=CommandLimits)
    env: Mapping[str, str] = field(default_factory=dict)
    path: str = DEFAULT_PATH
    virtual_env: Path | None = None
    network: bool = False

    def __post_init__(self) -> None:
        """Refuse names a shell could not export."""
        if bad := [name for name in self.env if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)]:
            raise ValueError(f"Not names of environment variables: {', '.join(bad)}.")


@dataclass(frozen=True, kw_only=True)
class CommandOutcome:
    """How a command ended; every ending is a value, also one that a limit caused.

    Attributes:
        exit_code: as a shell reports it (128 + n for signal n); None when a limit ended it.
        signal: the signal that ended it, None when it ended by itself.
        exceeded: the limit at which it was ended.
        duration_seconds: wall clock, including the sandbox.
        output: stdout and stderr interleaved, whole up to the limit, any bytes.
        hint: "blocked by sandbox: …" when the command failed and its output looks like it ran
            into the sandbox, else None.
    """

    exit_code: int | None
    duration_seconds: float
    output: bytes
    signal: int | None = None
    exceeded: Limit | None = None
    hint: str | None = None

    @property
    def timed_out(self) -> bool:
        """Return whether it was ended at its time limit."""
        return self.exceeded == "time"
