"""Text from models, tools and files made fit to show: nothing hidden, nothing that moves a cursor.

Knows nothing of where a text comes from; all of it is untrusted.
"""

import re
import shlex
from collections.abc import Callable

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
# format characters, among them the tag block, which spells hidden ASCII. Not the two joiners.
_HIDDEN = re.compile(
    r"[\x00-\x08\x0e-\x1f\x7f-\x9f]"
    r"|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
    r"|[\u00ad\u034f\u115f\u1160\u180b-\u180f\u200b\u2060-\u2065\u206a-\u206f]"
    r"|[\u3164\ufeff\uffa0\ufff9-\ufffb]"
    r"|[\U000e0000-\U000e0fff]"
)
_JOINERS = "\u200c\u200d"
# Scripts and emoji are written with joiners; beside ASCII one only hides.
_LONE_JOINERS = re.compile(rf"(?<![^\x00-\x7f])[{_JOINERS}]+|[{_JOINERS}]+(?![^\x00-\x7f])")
_INVISIBLE = re.compile(f"{_HIDDEN.pattern}|[\r\x0b\x0c\x85\u2028\u2029\ud800-\udfff]")
_SURROGATES = re.compile(r"[\ud800-\udfff]")
_ELLIPSIS = "…"
_LOOKED_THROUGH = 20_000
NO_TEXT = "holds a character that is none (half a surrogate pair, or bytes that are not UTF-8)"
"""The end of a sentence about what a person typed."""
Redact = Callable[[str], str]
"""Returns a text with the secrets in it replaced."""


def for_people(text: str, limit: int = 2_000) -> str:
    """Return `text` as it may be shown to a person, at most `limit` characters.

    Terminal sequences, control characters except newline and tab, bidirectional and zero-width
    characters are gone, but for joiners between letters that have them; every line end is a
    newline; a cut is visible.
    """
    return clip(_LONE_JOINERS.sub("", _plain(text)), limit)


def for_models(text: str, limit: int) -> str:
    """Return `text` as `for_people` does, with every joiner: a model may quote it in an edit."""
    return clip(_plain(text), limit)


def _plain(text: str) -> str:
    lines = _LINE_ENDS.sub("\n", _ESCAPES.sub("", text))
    return _SURROGATES.sub("\ufffd", _HIDDEN.sub("", lines))


def is_text(text: str) -> bool:
    """Return whether a text can be written and sent: it has no half of a surrogate pair."""
    return _SURROGATES.search(text) is None


def one_line(text: str, limit: int = 200) -> str:
    """Return `text` as `for_people` does, on one line and with single blanks."""
    return clip(" ".join(for_people(text, len(text)).split()), limit)


def shown(text: str, limit: int, redact: Redact) -> str:
    """Return the beginning of a foreign text as a history keeps it: `one_line`, without secrets.

    Looked through before it is cut, so that no part of a secret remains at the end.
    """
    return clip(redact(one_line(text[:_LOOKED_THROUGH], _LOOKED_THROUGH)), limit)


def visible(text: str) -> str:
    """Return lines of text, with what `for_people` takes away or changes written out instead.

    For what must stay what it is: a name that somebody copies, a command.
    """
    return _INVISIBLE.sub(_written_out, text)


def _written_out(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def shell_word(text: str) -> str:
    """Return a text as one word of a shell's command line, whatever it holds.

    Also inside a code block of markdown, and on a terminal: it has no backtick and no character
    that cannot be seen.
    """
    if "`" not in text and "\n" not in text and "\t" not in text and visible(text) == text:
        return shlex.quote(text)
    return "$'" + "".join(_shell_character(char) for char in text) + "'"


def _shell_character(char: str) -> str:
    if char.isalnum() or char in " /-_.,:=+@%":
        return char
    return "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))


def escaped(name: str) -> str:
    """Return a name with everything escaped that cannot be shown, or is not UTF-8, for one line."""
    return name if name.isprintable() else "".join(_escaped(c) for c in name)


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # a byte that is not UTF-8, as file names come
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char if char.isprintable() or char in _JOINERS else ascii(char)[1:-1]


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
