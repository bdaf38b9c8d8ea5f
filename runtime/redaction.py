"""Redaction of log lines: known secrets, and texts with the shape of a token."""

import re
from collections.abc import Callable, Iterable

REPLACEMENT = "[redacted]"
_MIN_SECRET_LENGTH = 6
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

    Secrets shorter than six characters are not replaced: they would match ordinary words.
    """
    # The longest first, so that a secret which is another's beginning leaves no rest of it.
    literal = sorted({s for s in secrets if len(s) >= _MIN_SECRET_LENGTH}, key=len, reverse=True)
    pattern = re.compile("|".join([*map(re.escape, literal), *_TOKEN_PATTERNS]))
    return lambda text: pattern.sub(REPLACEMENT, text)
