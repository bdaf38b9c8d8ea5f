"""Redaction of what must not leave the process."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.redaction import REPLACEMENT, redactor

SECRETS = st.lists(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=6))


@pytest.mark.parametrize(
    "token",
    [
        "sk-ant-api03-abcdefghijkl",
        "ghp_" + "a1" * 18,
        "github_pat_" + "a1" * 15,
        "glpat-" + "x" * 20,
        "xoxb-1234567890-abc",
        "AKIAABCDEFGHIJKLMNOP",
        "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----",
    ],
)
def test_shapes(token: str) -> None:
    """What has the shape of a known token is replaced, whoever it belongs to."""
    assert redactor([])(f"before {token} after") == f"before {REPLACEMENT} after"


def test_password_in_an_address() -> None:
    """Of an address with a password the host stays."""
    assert redactor([])("https://ada:pass@example.org/x") == f"https://{REPLACEMENT}@example.org/x"


def test_prose() -> None:
    """Ordinary text stays as it is."""
    text = "task sk-1 bearer of news, commit 0123456789abcdef0123456789abcdef01234567 eyJ"

    assert redactor(["short"])(text + " short") == text + " short"


@given(secrets=SECRETS, around=st.text())
def test_known_secrets(secrets: list[str], around: str) -> None:
    """No known secret survives, whatever stands around it and whichever contains another."""
    cleaned = redactor(secrets)(around + " ".join(secrets) + around)

    assert not [secret for secret in secrets if secret in cleaned.replace(REPLACEMENT, "")]
