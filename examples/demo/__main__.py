"""The demonstration: `make demo`, or `python -m examples.demo` in the repository's root.

It makes a small repository with a failing test, starts the rehearsal server in the model's place,
and runs one request with the code of `starter.py run`. Everything but the model's replies is real.
Afterwards nothing is left: no process, and no folder but one that is to be kept.
"""

import argparse
import os
import signal
import time
from pathlib import Path

from cli.context import CliContext
from cli.exit_codes import ExitCode
from cli.main import main as run_command
from domain.text import shell_word
from examples.demo.deployment import DemoDeployment, demo_deployment, sample_repository
from runtime.services.child_process import end_process

REQUEST = (
    "Mend the failing test of the cart's total, add discounts in per cent with tests, "
    "and document them in the README."
)
CHECK = "python3 -m unittest -q"
REHEARSED = "The model is rehearsed: its words are read from examples/demo/script.json."


def main() -> int:
    """Run the demonstration and return the exit code of its request."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument(
        "--keep",
        metavar="FOLDER",
        type=Path,
        help="a folder for the repository and the service's files, which stays; it is made",
    )
    keep = _new_folder(parser, parser.parse_args().keep)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        parent = Path.cwd() / ".orchestcode-demo"
        with demo_deployment(parent, os.environ, keep=keep) as deployment:
            code = _run_request(deployment, keep=keep is not None)
            if keep:
                _print_what_is_kept(deployment)
    except KeyboardInterrupt:
        code = ExitCode.WAITING
    if not keep:
        print(
            "The demonstration's processes and its folder are gone again; "
            "`make demo KEEP=FOLDER` keeps a folder."
        )
    return code


def _new_folder(parser: argparse.ArgumentParser, folder: Path | None) -> Path | None:
    """Return the folder with its whole path; refuse one that holds something."""
    if folder is None:
        return None
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        parser.error(f"{folder} is there already: name a folder that is new, or empty")
    return folder.resolve()


def _run_request(deployment: DemoDeployment, *, keep: bool) -> int:
    repository = sample_repository(deployment.folder / "shop")
    print(
        f"{REHEARSED} Everything else is real:\n"
        "the Temporal server, the worker, git, the sandbox, the commands and their results.\n"
        f"A sample repository with a failing test: {repository}\n"
        f'The request: "{REQUEST}"\n',
        flush=True,
    )
    context = CliContext(
        environ=deployment.environ,
        folder=Path.cwd(),
        now=time.time,
        program=deployment.program,
        lasting=keep,
    )
    code = run_command(["run", "--repo", str(repository), "--check", CHECK, REQUEST], context)
    cost = " The cost is what these calls would have cost." if code is ExitCode.DELIVERED else ""
    print(f"{REHEARSED}{cost}", flush=True)
    return code


def _print_what_is_kept(deployment: DemoDeployment) -> None:
    repository = f"git -C {shell_word(str(deployment.folder / 'shop'))}"
    print(
        "Kept, to look at:\n"
        f"  {repository} branch --list\n"
        f"  {repository} log --graph --stat --branches='orchestcode/*'\n"
        f"  {deployment.program} list\n"
        f"  {deployment.program} up        (server and web UI again)\n"
        f"  rm -rf {shell_word(str(deployment.folder))}"
    )


if __name__ == "__main__":
    end_process(main())
