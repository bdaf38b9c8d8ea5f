"""The parts of what an agent is told, told apart by tags that no text in them can close.

The tags of a message carry a mark. It is made of the texts themselves, so that a repeated attempt
composes the same bytes, and is one that none of them holds.
"""

import json
from collections.abc import Sequence

from domain.ids import digest
from domain.text import visible

_MARK_CHARS = 12


def sections(parts: Sequence[tuple[str, str]], *, seed: str) -> str:
    """Return labelled texts as sections of one message; empty ones are left out.

    `seed` names the message.
    """
    told = [(label, text.strip()) for label, text in parts if text.strip()]
    mark = _mark(seed, [text for part in told for text in part])
    return "\n\n".join(_tagged(f"section-{mark}", label, text) for label, text in told)


def document(label: str, text: str) -> str:
    """Return a labelled text that stands as a part of its own."""
    return _tagged(f"document-{_mark('', (label, text))}", label, text)


def _tagged(tag: str, label: str, text: str) -> str:
    name = visible(json.dumps(label, ensure_ascii=False))
    return f"<{tag} name={name}>\n{text}\n</{tag}>"


def _mark(seed: str, texts: Sequence[str]) -> str:
    """Return letters that follow from the texts and stand in none of them."""
    texts = [text.encode("utf-8", "replace").decode() for text in texts]
    mark = digest(seed, *texts, length=_MARK_CHARS)
    while any(mark in text for text in texts):
        mark = digest(mark, seed, *texts, length=_MARK_CHARS)
    return mark
