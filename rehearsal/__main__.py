"""The command: ``python -m rehearsal --script FILE --port N --journal FILE``.

Prints one line, ``rehearsal listening on http://127.0.0.1:PORT``, once it listens,
and stops at once on SIGTERM or SIGINT.
"""

import argparse
import asyncio
import pathlib
import signal
import sys

from rehearsal import script_loader, server
from rehearsal.script_loader import ScriptError


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m rehearsal", description="A scripted Messages API server on loopback."
    )
    parser.add_argument("--script", type=pathlib.Path, required=True, help="the script")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=0, help="0 chooses a free port")
    parser.add_argument("--journal", type=pathlib.Path, help="append one JSON line per request")
    parser.add_argument(
        "--journal-bodies", action="store_true", help="also record the raw text of requests"
    )
    parser.add_argument("--check", action="store_true", help="read the script and exit")
    return parser.parse_args()


async def _run(arguments: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with server.serve(
        arguments.script,
        host=arguments.host,
        port=arguments.port,
        journal_path=arguments.journal,
        journal_bodies=arguments.journal_bodies,
    ) as running:
        sys.stdout.write(f"rehearsal listening on {running.base_url}\n")
        sys.stdout.flush()
        await stop.wait()


def main() -> int:
    """Run until a signal; return the exit code."""
    arguments = _arguments()
    try:
        if arguments.check:
            script_loader.load(arguments.script)
        else:
            asyncio.run(_run(arguments))
    except (ScriptError, ValueError, OSError) as error:
        sys.stderr.write(f"rehearsal: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
