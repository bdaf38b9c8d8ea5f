"""The command: ``python -m runtime.gateway.web_front --port N HOST:PORT``.

Serves a Temporal web UI that runs elsewhere, as the compose file's does: the same requests are
refused as in front of the embedded server's. Listens on every interface, since a container's
port is published by its engine; whoever publishes it does so on 127.0.0.1. Runs until it is ended.
"""

import argparse
import asyncio
import signal

from runtime.gateway.streams import IncomingWeb


def main() -> None:
    """Serve until a SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m runtime.gateway.web_front")
    parser.add_argument("--port", type=_port, required=True, help="to listen at")
    parser.add_argument("ui", type=_address, metavar="HOST:PORT", help="of the web UI")
    options = parser.parse_args()
    asyncio.run(_serve(options.port, *options.ui))


def _port(text: str) -> int:
    """Return a port, or raise ValueError, which argparse reports."""
    number = int(text)
    if not 0 < number < 65_536:
        raise ValueError(text)
    return number


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host:
        raise ValueError(text)
    return host, _port(port)


async def _serve(port: int, host: str, ui_port: int) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await loop.create_server(lambda: IncomingWeb(ui_port, _anybody, host=host), port=port)
    await ended.wait()


def _anybody(_client_port: int) -> bool:
    return True


if __name__ == "__main__":
    main()
