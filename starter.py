"""The command line: run, watch, answer and list requests. Its code is in cli/."""

import getpass
import io
import os
import sys
import time
from pathlib import Path

from cli.context import CliContext
from cli.exit_codes import ExitCode
from cli.main import main
from cli.program import called_as, name_of
from runtime.process import drop_git_variables

_NO_FOLDER = "orchestcode: the folder that you are in does not exist any more; change to another.\n"


def start(program: str) -> int:
    """Execute the command line of this process; `program` is what was called."""
    context = _context(program)
    # Who starts this process again needs this file, not the launcher.
    sys.argv[0] = __file__
    return main(sys.argv[1:], context)


def _context(program: str) -> CliContext:
    # A terminal that cannot show a character gets a replacement, never a traceback.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    pager = os.environ.get("GIT_PAGER")
    drop_git_variables(os.environ)
    return CliContext(
        environ=dict(os.environ),
        folder=_folder(),
        now=time.time,
        user=_user(),
        program=called_as(program, sys.executable, os.environ),
        name=name_of(program),
        pager=pager,
    )


def _folder() -> Path:
    try:
        return Path.cwd()
    except OSError:
        sys.stderr.write(_NO_FOLDER)
        sys.exit(ExitCode.USAGE)


def _user() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        return ""
    # In a container everybody is root: that names nobody.
    return "" if name == "root" else name


def end(code: int) -> None:
    """End with an exit code; threads of the SDK, where there are any, are not waited for."""
    if "asyncio" in sys.modules:
        from runtime.services.child_process import end_process  # noqa: PLC0415 - asyncio is slow

        end_process(code)
    sys.exit(code)


if __name__ == "__main__":
    end(start(sys.argv[0]))
