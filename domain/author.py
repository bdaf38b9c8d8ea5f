"""The author of delivered commits."""

import re

from domain.text import one_line

_DROPPED = re.compile(r"[<>\n\0]")
_CHARS = 200


def author(name: str, email: str) -> str | None:
    """Return "Name <mail>" as git writes it, None without a mail; a missing name is the mail's."""
    mail = _DROPPED.sub("", one_line(email, _CHARS)).replace(" ", "")
    if not mail:
        return None
    known = _DROPPED.sub("", one_line(name, _CHARS)).strip(" .,:;\"'\\")
    return f"{known or mail.partition('@')[0]} <{mail}>"
