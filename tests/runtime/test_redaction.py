"""Redaction of secrets in texts."""

import html
import json
import urllib.parse
from collections.abc import Callable

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
def test_token_shaped_strings_are_replaced(token: str) -> None:
    """Also when they are not among the given secrets."""
    assert redactor([])(f"before {token} after") == f"before {REPLACEMENT} after"


def test_a_password_in_a_url_is_replaced() -> None:
    """The host of the URL stays."""
    assert redactor([])("https://ada:pass@example.org/x") == f"https://{REPLACEMENT}@example.org/x"


def test_ordinary_text_is_unchanged() -> None:
    """So are secrets shorter than six characters."""
    text = "task sk-1 bearer of news, commit 0123456789abcdef0123456789abcdef01234567 eyJ"

    assert redactor(["short"])(text + " short") == text + " short"


@given(secrets=SECRETS, around=st.text())
def test_no_given_secret_remains(secrets: list[str], around: str) -> None:
    """In any surrounding text, also when one secret contains another."""
    cleaned = redactor(secrets)(around + " ".join(secrets) + around)

    assert not [secret for secret in secrets if secret in cleaned.replace(REPLACEMENT, "")]


ESCAPES: tuple[Callable[[str], str], ...] = (
    repr,
    lambda text: repr(text.encode()),
    ascii,
    json.dumps,
    lambda text: json.dumps(text, ensure_ascii=False),
    urllib.parse.quote,
    urllib.parse.quote_plus,
    lambda text: urllib.parse.quote(text, safe=""),
    html.escape,
)
PRINTED = st.text(st.characters(codec="utf-8", max_codepoint=0x2030), min_size=6, max_size=20)


@given(
    secret=PRINTED,
    first=st.sampled_from(ESCAPES),
    second=st.sampled_from([str, repr, json.dumps]),
    third=st.sampled_from([str, repr, json.dumps]),
)
def test_no_escaped_form_of_a_secret_remains(
    secret: str,
    first: Callable[[str], str],
    second: Callable[[str], str],
    third: Callable[[str], str],
) -> None:
    """A key that an error quotes, in a text that another text quotes, is as gone as a plain one."""
    text = third(second(f"Illegal header value {first(secret)} (x)"))

    cleaned = redactor([secret])(text)

    assert REPLACEMENT in cleaned
    assert first(secret).strip("b\"'") not in cleaned


def test_many_backslashes_are_no_long_search() -> None:
    """A text of a million backslashes is cleaned at once."""
    assert redactor(['\n"\\secret'])("\\" * 1_000_000) == "\\" * 1_000_000
