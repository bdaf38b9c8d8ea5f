"""Redaction of logs and recorded failures: known secrets, texts with the shape of a token."""

import html
import json
import re
import urllib.parse
from collections.abc import Callable, Iterable

REPLACEMENT = "[redacted]"
_MIN_SECRET_LENGTH = 6
_MOST_BACKSLASHES = 16
_BACKSLASH, _SOME = r"\\", rf"\\{{1,{_MOST_BACKSLASHES}}}"
_TOKEN_PATTERNS = (
    r"sk-ant-[\w-]{8,}",
    r"sk-[A-Za-z0-9_-]{20,}",
    r"gh[pousr]_[A-Za-z0-9]{20,}",
    r"github_pat_\w{20,}",
    r"glpat-[\w-]{16,}",
    r"xox[abeprs]-[\w-]{10,}",
    r"(?:AKIA|ASIA)[0-9A-Z]{16}",
    r"AIza[\w-]{30,}",
    r"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+",
    r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)",
    r"(?<=[Bb]earer )[\w.~+/=-]{12,}",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
)


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """Return a function that replaces the given secrets and all token-shaped strings in a text.

    A secret is found as it is and escaped: as in a Python, JSON, URL or HTML text, also in one
    inside another. Secrets shorter than six characters are not replaced: they would match
    ordinary words.
    """
    # The longest first, so that a secret which is another's beginning leaves no rest of it.
    known = sorted({s for s in secrets if len(s) >= _MIN_SECRET_LENGTH}, key=len, reverse=True)
    escaped = ("".join(map(_forms, secret)) for secret in known)
    pattern = re.compile("|".join([*escaped, *_TOKEN_PATTERNS]))
    return lambda text: pattern.sub(REPLACEMENT, text)


def _forms(character: str) -> str:
    """Return a pattern of a character as it is and as texts of other languages escape it."""
    if character.isascii() and character.isalnum():
        return character
    data = character.encode("utf-8", "surrogatepass")
    forms = {
        character,
        repr(character)[1:-1],
        ascii(character)[1:-1],
        json.dumps(character)[1:-1],
        "".join(f"\\x{byte:02x}" for byte in data),
        "".join(f"%{byte:02x}" for byte in data),
        urllib.parse.quote_plus(data),
        html.escape(character),
        f"&#{ord(character)};",
    }
    longest_first = sorted(forms, key=lambda form: (-len(form), form))
    return "(?:" + "|".join(map(_pattern, longest_first)) + ")"


def _pattern(form: str) -> str:
    # Each further text around an escaped character doubles the backslashes before it.
    escaped = form.removeprefix("\\")
    least = 0 if escaped == form else 1
    return rf"\\{{{least},{_MOST_BACKSLASHES}}}{re.escape(escaped).replace(_BACKSLASH, _SOME)}"
