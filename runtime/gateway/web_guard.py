"""Which HTTP requests to the web UI are answered: those of a person, not those of a web page.

A page that a person has open elsewhere can make the browser send requests to this machine. It can
choose neither the Origin nor the Sec-Fetch headers of them, nor a Host that is not its own name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

MAX_HEAD_BYTES: Final = 64 * 1024
_NAMES: Final = ("127.0.0.1", "localhost")
_SAFE_METHODS: Final = ("GET", "HEAD")
_METHODS: Final = (*_SAFE_METHODS, "POST", "PUT", "PATCH", "DELETE")
_DROPPED: Final = ("connection", "keep-alive", "proxy-connection", "upgrade")


@dataclass(frozen=True)
class Refusal:
    """An answer instead of the UI's.

    Attributes:
        status: code and reason of the response.
        sentence: for a person who sees it in a browser.
    """

    status: str
    sentence: str

    def response(self) -> bytes:
        """Return the whole response."""
        body = f"{self.sentence}\n".encode()
        head = (
            f"HTTP/1.1 {self.status}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\nX-Content-Type-Options: nosniff\r\n"
            "Connection: close\r\n\r\n"
        )
        return head.encode("ascii") + body


def admit(head: bytes) -> bytes | Refusal:
    """Return a request's head as it goes on to the UI, or why it does not.

    One request a connection: what follows it is never read as a second one.

    Args:
        head: up to and with its empty line.
    """
    lines = head.removesuffix(b"\r\n\r\n").decode("latin-1").split("\r\n")
    method, _, rest = lines[0].partition(" ")
    target, _, version = rest.rpartition(" ")
    fields = [(name, value.strip()) for name, _, value in (row.partition(":") for row in lines[1:])]
    if not _is_plain(lines) or version not in ("HTTP/1.1", "HTTP/1.0"):
        return Refusal("400 Bad Request", "This is not an HTTP request that the web UI answers.")
    if method not in _METHODS or not target.startswith("/"):
        return Refusal("405 Method Not Allowed", "The web UI answers no such request.")
    refusal = _judge(method, {name.lower(): value for name, value in fields}, fields)
    if refusal:
        return refusal
    kept = [f"{name}: {value}" for name, value in fields if name.lower() not in _DROPPED]
    return "\r\n".join([lines[0], *kept, "Connection: close", "", ""]).encode("latin-1")


def _is_plain(lines: Sequence[str]) -> bool:
    """Return whether no line can be read as another by the server behind."""
    names = [line.partition(":")[0].lower() for line in lines[1:]]
    lengths = [name for name in names if name in ("content-length", "transfer-encoding")]
    well_formed = all(
        name and name.isascii() and name.replace("-", "").replace("_", "").isalnum()
        for name in names
    )
    controls = any(not each.isprintable() and each != "\t" for line in lines for each in line)
    return well_formed and not controls and len(lengths) <= 1 and names.count("host") == 1


def _judge(
    method: str, headers: dict[str, str], fields: Sequence[tuple[str, str]]
) -> Refusal | None:
    host = headers["host"].lower()
    if not _is_loopback(host):
        return Refusal(
            "421 Misdirected Request",
            "The web UI of OrchestCode answers to 127.0.0.1 and localhost alone. From another "
            "machine use a tunnel, as ssh -L 8233:127.0.0.1:8233, and open http://127.0.0.1:8233.",
        )
    origins = [value for name, value in fields if name.lower() == "origin"]
    foreign = any(origin.lower() != f"http://{host}" for origin in origins)
    if foreign or not _fetched_from_here(method, headers):
        return Refusal(
            "403 Forbidden", "Another web page asked for this: the web UI answers its own alone."
        )
    return None


def _is_loopback(host: str) -> bool:
    name, colon, port = host.partition(":")
    return name in _NAMES and (not colon or (port.isascii() and port.isdigit()))


def _fetched_from_here(method: str, headers: dict[str, str]) -> bool:
    """Return whether, by what the browser says, the UI's own page or a person sent the request."""
    if headers.get("sec-fetch-site", "none").lower() in ("none", "same-origin"):
        return True
    # A link on another page that a person follows shows the UI, and changes nothing.
    navigates = headers.get("sec-fetch-mode") == "navigate"
    return navigates and headers.get("sec-fetch-dest") == "document" and method in _SAFE_METHODS
