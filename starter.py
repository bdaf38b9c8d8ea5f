"""
The hand: run, watch, answer, list. It parses what a person typed and leaves the rest to console.
"""

import getpass
import io
import os
import sys
import time
from pathlib import Path

from cli.context import CliContext
from cli.main import main
from runtime.services.child_process import end_process


def _surroundings() -> CliContext:
    # A terminal that cannot show a character gets another one, never a traceback.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    return CliContext(environ=dict(os.environ), folder=Path.cwd(), now=time.time, user=_user())


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


if __name__ == "__main__":
    end_process(main(sys.argv[1:], _surroundings()))
