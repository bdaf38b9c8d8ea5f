"""Text from models, tools and files made fit to show: nothing hidden, nothing that moves a cursor.

Knows nothing of where a text comes from; all of it is untrusted.
"""

import re

# String sequences (OSC, DCS, SOS, PM, APC) run to BEL or ST; a body never crosses another ESC, so
# the search stays linear. Then CSI, then the two-character escapes.
_ESCAPES = re.compile(
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[ -/]+[0-~]"
    r"|\x1b[0-Z\\^-~]"
)
_LINE_ENDS = re.compile(r"\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# C0 without tab and newline, DEL, C1; bidirectional controls; zero-width and other invisible
# format characters, among them the tag block, which spells hidden ASCII.
_HIDDEN = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x9f]"
    r"|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
    r"|[\u00ad\u034f\u115f\u1160\u180b-\u180f\u200b-\u200d\u2060-\u2065\u206a-\u206f]"
    r"|[\u3164\ufeff\uffa0\ufff9-\ufffb]"
    r"|[\U000e0000-\U000e0fff]"
)
_SURROGATES = re.compile(r"[\ud800-\udfff]")
_ELLIPSIS = "…"


def for_people(text: str, limit: int = 2_000) -> str:
    """Return `text` as it may be shown to a person, at most `limit` characters.

    Terminal sequences, control characters except newline and tab, bidirectional and zero-width
    characters are gone; every line end is a newline; a cut is visible.
    """
    plain = _LINE_ENDS.sub("\n", _ESCAPES.sub("", text))
    return clip(_SURROGATES.sub("\ufffd", _HIDDEN.sub("", plain)), limit)


def one_line(text: str, limit: int = 200) -> str:
    """Return `text` as `for_people` does, on one line and with single blanks."""
    return clip(" ".join(for_people(text, len(text)).split()), limit)


def clip(text: str, limit: int) -> str:
    """Return `text`, cut with a visible mark when it is longer than `limit` characters.

    The result, mark included, is never longer than `limit`.
    """
    if len(text) <= limit:
        return text
    mark = f"{_ELLIPSIS} [cut, {len(text):,} characters in all]"
    if len(mark) * 2 > limit:
        mark = _ELLIPSIS[:limit]
    return text[: limit - len(mark)] + mark


def listing(items: tuple[str, ...], *, most: int = 5) -> str:
    """Return the first `most` of `items` for a sentence: "a, b and 3 more"; "" for none."""
    shown = ", ".join(one_line(item) for item in items[:most])
    rest = len(items) - most
    return f"{shown} and {rest} more" if rest > 0 else shown
