"""A process that lives on when its parent, its terminal or its session ends."""

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from runtime.services.child_process import open_log


class DetachedProcess:
    """A process in a session of its own, its output appended to a log; it outlives this one."""

    def __init__(
        self, command: Sequence[str], *, environment: Mapping[str, str], log: Path
    ) -> None:
        with open_log(log) as output, Path(os.devnull).open("rb") as nothing:
            self._pid = os.posix_spawn(
                command[0],
                list(command),
                environment,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, nothing.fileno(), 0),
                    (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
                    (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
                ],
                setsid=True,
            )
        self._exit_code: int | None = None

    def kill(self) -> None:
        """Kill it, if it runs, and wait for its end."""
        if self.exit_code() is None:
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            self._exit_code = -signal.SIGKILL

    def exit_code(self) -> int | None:
        """Return its exit code, None while it runs."""
        if self._exit_code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            self._exit_code = os.waitstatus_to_exitcode(status) if pid else None
        return self._exit_code
