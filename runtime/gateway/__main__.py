"""The command: ``python -m runtime.gateway --port N [--ui-port N] [--own-user] -- SERVER …``.

Starts the server in a network of its own and serves these ports of it on the machine's loopback
interface until it ends; a SIGTERM is passed on to it. Ends with the server's exit code.
"""

import argparse
import asyncio
import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Final

from runtime.gateway import NO_NETWORK
from runtime.gateway.network import enter_own_network
from runtime.gateway.peers import Peers
from runtime.gateway.streams import Incoming, IncomingWeb

_PR_SET_PDEATHSIG: Final = 1
_BACKLOG: Final = 128
_PRCTL = ctypes.CDLL(None).prctl


def main() -> int:
    """Run until the server has ended."""
    options = _options()
    listeners = [(_listen(options.port), options.port, Incoming)]
    if options.ui_port:
        listeners.append((_listen(options.ui_port), options.ui_port, IncomingWeb))
    peers = Peers() if options.own_user else None
    try:
        enter_own_network()
    except OSError as problem:
        sys.stderr.write(f"No network of its own for the server: {problem}\n")
        return NO_NETWORK
    code = asyncio.run(_serve(listeners, peers, options.server))
    return code if code >= 0 else 128 - code


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m runtime.gateway", description=__doc__)
    parser.add_argument("--port", type=int, required=True, help="of the server's gRPC service")
    parser.add_argument("--ui-port", type=int, help="of its web UI")
    parser.add_argument(
        "--own-user", action="store_true", help="serve no process of another user but root"
    )
    parser.add_argument("server", nargs="+", help="the server's command, after --")
    return parser.parse_args()


def _listen(port: int) -> socket.socket:
    """Return a listening socket of the machine's network."""
    # Named so that asyncio sends small messages at once on what it accepts.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(_BACKLOG)
    return listener


async def _serve(
    listeners: Sequence[tuple[socket.socket, int, type[Incoming]]],
    peers: Peers | None,
    command: Sequence[str],
) -> int:
    """Serve until the server has ended, and return its exit code."""
    loop = asyncio.get_running_loop()
    # Descriptors that this process inherited, such as the home's lock, are the server's too.
    server = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs yet
        command,
        close_fds=False,
        # Safe here: the function only makes two system calls.
        preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.terminate)
    for listener, port, kind in listeners:
        await loop.create_server(_factory(kind, port, peers), sock=listener)
    ended = asyncio.Event()
    loop.add_reader(os.pidfd_open(server.pid), ended.set)
    await ended.wait()
    return server.wait()


def _factory(kind: type[Incoming], port: int, peers: Peers | None) -> Callable[[], Incoming]:
    return lambda: kind(port, lambda client: peers is None or peers.admits(client, port))


def _die_with(parent: int) -> Callable[[], None]:
    def before_exec() -> None:
        _PRCTL(_PR_SET_PDEATHSIG, signal.SIGKILL)
        # The parent may have died before the line above took effect.
        if os.getppid() != parent:
            os._exit(1)

    return before_exec


if __name__ == "__main__":
    sys.exit(main())
