"""The way to the Messages API, with real proxies on this machine that refuse or answer it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from contracts.failures import FailureKind
from infra.anthropic.client import MessagesClient, ModelServiceError
from infra.anthropic.route import proxy_of
from runtime.tcp_ports import free_port

PAGE = "<html><head><title>403 Blocked by policy</title></head><body><h1>No</h1></body></html>"
REQUEST = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "x"}]}


@asynccontextmanager
async def answering(status: str, body: str = "", kind: str = "text/html") -> AsyncIterator[int]:
    """Run a server that gives every request this answer; yield its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n"
        writer.write(f"{head}connection: close\r\n\r\n{body}".encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Return a function that sets one of the proxy variables, all others unset."""
    for scheme in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{scheme}_proxy", raising=False)
        monkeypatch.delenv(f"{scheme.upper()}_PROXY", raising=False)
    return monkeypatch.setenv


async def failure(base_url: str) -> ModelServiceError:
    """Return how a call to an address fails."""
    client = MessagesClient(api_key="key", auth_token=None, base_url=base_url)
    with pytest.raises(ModelServiceError) as caught:
        await client.call(REQUEST, agent="a")
    await client.close()
    return caught.value


async def test_a_socks_proxy_without_its_library_is_named(
    environ: Callable[[str, str], None],
) -> None:
    """The variable, the address without its password, and what to install; no traceback."""
    environ("ALL_PROXY", "socks5://ada:secret@gate.example:1080")

    failed = await failure("https://api.example")

    assert failed.kind is FailureKind.CREDENTIALS
    assert str(failed) == (
        "the proxy socks5://gate.example:1080 (ALL_PROXY) is a SOCKS proxy, which needs the Python "
        "package socksio: install it where the worker runs, or give ALL_PROXY an HTTP proxy; then "
        "start the worker again"
    )


async def test_a_socks_proxy_for_others_keeps_nobody_from_calling(
    environ: Callable[[str, str], None],
) -> None:
    """Only the proxy of the address that is called counts."""
    environ("ALL_PROXY", "socks5://127.0.0.1:1")
    async with answering("403 Forbidden", PAGE) as port:
        environ("https_proxy", f"127.0.0.1:{port}")

        failed = await failure("https://api.example")

    assert failed.kind is FailureKind.CREDENTIALS
    assert str(failed) == (
        f"the proxy http://127.0.0.1:{port} (https_proxy) refuses the way to api.example: "
        "403 Forbidden"
    )


async def test_a_proxy_that_cannot_be_used_is_named(environ: Callable[[str, str], None]) -> None:
    """A scheme that no client of ours speaks."""
    environ("HTTPS_PROXY", "socks4://gate.example:1080")

    assert "the proxy socks4://gate.example:1080 (HTTPS_PROXY) cannot be used:" in str(
        await failure("https://api.example")
    )


async def test_a_proxys_page_is_not_taken_for_the_services_word(
    environ: Callable[[str, str], None],
) -> None:
    """A 403 page names the proxy, not the key; what the page says of itself is told in a line."""
    async with answering("403 Forbidden", PAGE) as port:
        environ("HTTP_PROXY", f"http://127.0.0.1:{port}")

        failed = await failure("http://api.example/gateway")

    assert failed.kind is FailureKind.CREDENTIALS
    assert str(failed) == (
        f"http://api.example/gateway/v1/messages through the proxy http://127.0.0.1:{port} "
        "(HTTP_PROXY) answers 403 Forbidden with a page (403 Blocked by policy), not in the "
        "service's words; check HTTP_PROXY and ANTHROPIC_BASE_URL"
    )


async def test_a_proxy_that_is_not_there_is_named_and_tried_again(
    environ: Callable[[str, str], None],
) -> None:
    """It may come back; until then the reason says where to look."""
    environ("HTTPS_PROXY", f"http://127.0.0.1:{free_port([])}")

    failed = await failure("https://api.example")

    assert failed.kind is FailureKind.UNREACHABLE
    assert "(HTTPS_PROXY)" in str(failed)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        ("404 Not Found", PAGE.replace("403 Blocked by policy", "Welcome"), "text/html"),
        ("404 Not Found", '{"detail": "Not Found"}', "application/json"),
        ("405 Method Not Allowed", "", "text/plain"),
    ],
)
async def test_an_address_without_the_service_is_named(
    environ: Callable[[str, str], None], status: str, body: str, kind: str
) -> None:
    """A wrong path, another program's port: the address as it was asked, and its variable."""
    async with answering(status, body, kind) as port:
        failed = await failure(f"http://127.0.0.1:{port}/api")

    assert failed.kind is FailureKind.MODEL_REQUEST
    assert str(failed).startswith(
        f"http://127.0.0.1:{port}/api/v1/messages is no Messages API: it answers {status}"
    )
    assert str(failed).endswith("; check ANTHROPIC_BASE_URL")


async def test_the_services_own_refusal_keeps_its_words(
    environ: Callable[[str, str], None],
) -> None:
    """Neither proxy nor address is blamed for a key that the service does not take."""
    said = '{"type": "error", "error": {"type": "authentication_error", "message": "bad key"}}'
    async with answering("401 Unauthorized", said, "application/json") as port:
        failed = await failure(f"http://127.0.0.1:{port}")

    assert str(failed).startswith("the model key is not accepted (set ANTHROPIC_API_KEY")
    assert str(failed).endswith("): bad key")


async def test_a_page_of_an_overloaded_gateway_is_one_line(
    environ: Callable[[str, str], None],
) -> None:
    """No HTML reaches a person, and the call is tried again."""
    async with answering("502 Bad Gateway", PAGE) as port:
        failed = await failure(f"http://127.0.0.1:{port}")

    assert failed.kind is FailureKind.OVERLOADED
    assert str(failed).endswith("502 Bad Gateway with a page (403 Blocked by policy)")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "[::1]", "a.localhost"])
def test_a_proxy_never_catches_this_machine(host: str) -> None:
    """By whatever name, for either scheme, without NO_PROXY."""
    variables = {"HTTP_PROXY": "http://p:1", "HTTPS_PROXY": "http://p:1", "ALL_PROXY": "http://p:1"}

    assert proxy_of(f"http://{host}:8080/x", variables) is None
    assert proxy_of(f"https://{host}", variables) is None


@pytest.mark.parametrize(
    ("url", "spared", "caught"),
    [
        ("https://api.example", "", True),
        ("https://api.example", "other.example", True),
        ("https://api.example", "api.example", False),
        ("https://api.example", ".example, x", False),
        ("https://api.example", "*", False),
        ("https://10.1.2.3", "10.0.0.0/8", False),
        ("https://10.1.2.3", "192.168.0.0/16", True),
    ],
)
def test_no_proxy_spares_what_it_names(url: str, spared: str, *, caught: bool) -> None:
    """A host, its domain, its network, or all."""
    proxy = proxy_of(url, {"HTTPS_PROXY": "p:1", "NO_PROXY": spared})

    assert (proxy is not None) == caught
