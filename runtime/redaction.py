"""Redaction: known secrets and what looks like one never leave the process in a log line."""

import re
from collections.abc import Callable, Iterable

REPLACEMENT = "[redacted]"
_SHORTEST_SECRET = 6
_SHAPES = (
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
    """
    Return a function that replaces the given secrets, and whatever has a token's shape, in a text.

    Secrets shorter than six characters are left alone: they would hit ordinary words.
    """
    # The longest first, so that no secret is left half standing by another that begins it.
    literal = sorted({s for s in secrets if len(s) >= _SHORTEST_SECRET}, key=len, reverse=True)
    pattern = re.compile("|".join([*map(re.escape, literal), *_SHAPES]))
    return lambda text: pattern.sub(REPLACEMENT, text)
