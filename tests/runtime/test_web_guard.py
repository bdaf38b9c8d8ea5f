"""Which requests the web UI's gateway passes on."""

import pytest

from runtime.gateway.web_guard import Refusal, admit

OWN = "Host: 127.0.0.1:8233"


def head(line: str, *fields: str) -> bytes:
    """Write a request's head."""
    return "\r\n".join([line, *fields, "", ""]).encode("latin-1")


@pytest.mark.parametrize(
    "fields",
    [
        (OWN,),
        ("Host: localhost:8233",),
        ("host: LOCALHOST",),
        ("Host: 127.0.0.1:9999", "Origin: http://127.0.0.1:9999"),
        (OWN, "Origin: http://127.0.0.1:8233", "Sec-Fetch-Site: same-origin"),
        (OWN, "Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"),
        (OWN, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"),
    ],
)
def test_a_person_s_requests_are_passed_on(fields: tuple[str, ...]) -> None:
    """By address or name, through a tunnel, from the UI's own page, by a link from another page."""
    verdict = admit(head("GET /namespaces HTTP/1.1", *fields))

    assert isinstance(verdict, bytes)
    assert verdict.startswith(b"GET /namespaces HTTP/1.1\r\n")
    assert verdict.endswith(b"Connection: close\r\n\r\n")


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "fields",
    [
        ("Host: evil.example",),
        ("Host: evil.example:8233", "Origin: http://evil.example:8233"),
        ("Host: 127.0.0.1.evil.example",),
        ("Host: 127.0.0.1@evil.example",),
        ("Host: 0.0.0.0:8233",),
        ("Host:",),
        (OWN, "Origin: http://evil.example"),
        (OWN, "Origin: null"),
        (OWN, "Origin:"),
        (OWN, "Origin: http://localhost:8233"),
        (OWN, "Origin: http://127.0.0.1:3000"),
        (OWN, "Origin: https://127.0.0.1:8233"),
        (OWN, "Origin: http://127.0.0.1:8233", "Origin: http://evil.example"),
        (OWN, "Sec-Fetch-Site: cross-site"),
        (OWN, "Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: no-cors"),
        (OWN, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"),
        (OWN, "Host: evil.example"),
        (),
    ],
)
def test_a_web_page_s_requests_are_refused(method: str, fields: tuple[str, ...]) -> None:
    """With a foreign or doubtful Host or Origin, from another page, or in another page's frame."""
    assert isinstance(admit(head(f"{method} /api/v1/namespaces HTTP/1.1", *fields)), Refusal)


def test_a_form_on_another_page_changes_nothing() -> None:
    """A POST by navigation is not a link that a person follows."""
    fields = ("Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")

    assert isinstance(admit(head("POST /api/v1/namespaces HTTP/1.1", OWN, *fields)), Refusal)


@pytest.mark.parametrize(
    "unclear",
    [
        head("GET http://evil.example/ HTTP/1.1", OWN),
        head("CONNECT evil.example:443 HTTP/1.1", OWN),
        head("OPTIONS / HTTP/1.1", OWN),
        head("PRI * HTTP/2.0"),
        head("GET / HTTP/1.1", OWN, "Content-Length: 3", "Transfer-Encoding: chunked"),
        head("GET / HTTP/1.1", OWN, "Content-Length: 3", "Content-Length: 4"),
        head("GET / HTTP/1.1", OWN, " Origin: http://evil.example"),
        head("GET / HTTP/1.1", OWN, "Origin : http://evil.example"),
        head("GET / HTTP/1.1", OWN, "X: a\nOrigin: http://evil.example"),
        head("GET / HTTP/1.1", "Host: 127.0.0.1:8233\0.evil.example"),
        b"\r\n\r\n",
        b"\xff\xfe\r\n\r\n",
    ],
)
def test_what_two_readers_could_read_differently_is_refused(unclear: bytes) -> None:
    """Nothing is passed on that the server behind might take for another request."""
    assert isinstance(admit(unclear), Refusal)


def test_a_refusal_says_why_and_ends_the_connection() -> None:
    """A person who opened the UI by another name reads what to do."""
    refusal = admit(head("GET / HTTP/1.1", "Host: myhost:8233"))

    assert isinstance(refusal, Refusal)
    assert b"421 Misdirected Request" in refusal.response()
    assert b"ssh -L 8233:127.0.0.1:8233" in refusal.response()
    assert b"\r\nConnection: close\r\n" in refusal.response()
