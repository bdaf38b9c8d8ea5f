"""What lies between us and the Messages API: its address, and a proxy of the environment's."""

import contextlib
import ipaddress
import os
import re
import socket
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2

from domain.agent.conditions import Break, Came, of_others
from domain.text import one_line

_ADDRESS = "https://api.anthropic.com"
_VARIABLE = "ANTHROPIC_BASE_URL"
_TAGS = re.compile(r"(?is)<(script|style)\b.*?</\1>|<[^>]*>")
_TITLE = re.compile(r"(?is)<title[^>]*>(.*?)</title>")


class RouteError(Exception):
    """The service cannot be reached as the environment says; the text names the variable."""


@dataclass(frozen=True)
class Proxy:
    """A proxy, and the variable that names it."""

    variable: str
    url: str

    @property
    def shown(self) -> str:
        """Return both for a sentence, without the proxy's password."""
        return f"the proxy {_without_password(self.url)} ({self.variable})"


def proxy_of(url: str, environ: Mapping[str, str] | None = None) -> Proxy | None:
    """Return the proxy that the environment names for an address; this machine never has one."""
    variables = os.environ if environ is None else environ
    parts = urlsplit(url)
    host = parts.hostname or ""
    if _this_machine(host) or _spared(host, variables):
        return None
    # As curl and Python read them; HTTP_PROXY is a header's name where a web server runs us.
    names = (f"{parts.scheme}_proxy", f"{parts.scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY")
    for name in names:
        if name == "HTTP_PROXY" and "REQUEST_METHOD" in variables:
            continue
        if value := variables.get(name, "").strip():
            return Proxy(name, value if "://" in value else f"http://{value}")
    return None


def _this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost") or host == socket.gethostname():
        return True
    address = _ip(host)
    return address is not None and (address.is_loopback or address.is_unspecified)


def _spared(host: str, variables: Mapping[str, str]) -> bool:
    """Return whether NO_PROXY names a host, itself, by its domain or by its network."""
    spared = variables.get("no_proxy") or variables.get("NO_PROXY") or ""
    if urllib.request.proxy_bypass_environment(host, {"no": spared}):  # type: ignore[attr-defined]
        return True
    address = _ip(host)
    return address is not None and any(_holds(each.strip(), address) for each in spared.split(","))


def _holds(network: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return address in ipaddress.ip_network(network.strip("[]"), strict=False)
    except ValueError:
        return False


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def http_client(base_url: str | None, timeout: httpx2.Timeout) -> httpx2.AsyncClient:
    """Return the client for an address, by its proxy where it has one.

    Raises:
        RouteError: the proxy cannot be used; the text is one sentence with the remedy.
    """
    proxy = proxy_of(base_url or _ADDRESS)
    if proxy is None:
        # A transport of its own keeps the client from reading the variables itself.
        return httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(), timeout=timeout)
    try:
        return httpx2.AsyncClient(proxy=proxy.url, timeout=timeout)
    except ImportError as error:
        raise RouteError(
            f"{proxy.shown} is a SOCKS proxy, which needs the Python package socksio: install it "
            f"where the worker runs, or give {proxy.variable} an HTTP proxy"
        ) from error
    except (ValueError, httpx2.InvalidURL) as error:
        raise RouteError(f"{proxy.shown} cannot be used: {error}") from error


def proxy_failure(url: str, cause: BaseException) -> Came | None:
    """Return what no answer means where a proxy stands between; None where none does."""
    proxy = proxy_of(url)
    if proxy is None:
        return None
    if isinstance(cause, httpx2.ProxyError):
        says = f"{proxy.shown} refuses the way to {urlsplit(url).hostname}: {cause}"
        status = re.match(r"\d{3}", str(cause))
        return Came(broke=Break.PROXY, status=int(status[0]) if status else 0, says=says)
    says = f"no answer from the model's service through {proxy.shown}: {cause!r}"
    return Came(broke=Break.CONNECTION, says=says)


def foreign_answer(response: httpx2.Response, body: object) -> Came | None:
    """Return a refusal that is not the service's own; None for one that is.

    Some statuses mean the same from whomever they come; the table of conditions knows them.
    """
    if _from_service(body) or not of_others(response.status_code):
        return None
    url = _without_password(str(response.request.url))
    proxy = proxy_of(url)
    return Came(
        status=response.status_code,
        foreign=True,
        says=page(response),
        words={
            "where": url,
            "through": f" through {proxy.shown}" if proxy else "",
            "variables": _variables(proxy),
        },
    )


def _variables(proxy: Proxy | None) -> str:
    return f"{proxy.variable} and {_VARIABLE}" if proxy else _VARIABLE


def _from_service(body: object) -> bool:
    return isinstance(body, dict) and isinstance(body.get("error"), dict)


def page(response: httpx2.Response) -> str:
    """Return an answer that is not the service's in one line: its status, and what it shows."""
    text = ""
    with contextlib.suppress(httpx2.ResponseNotRead):  # a stream that broke off was never read
        text = response.text if response.is_closed else ""
    title = _TITLE.search(text)
    shown = one_line(title[1] if title else _TAGS.sub(" ", text), 200)
    status = f"{response.status_code} {response.reason_phrase}".strip()
    return f"{status} with a page ({shown})" if shown else status


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"
