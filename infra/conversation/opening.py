"""The opening message of a conversation, made of facts and documents."""

import json
from collections.abc import Sequence

_MAP_BYTES = 6_000


def repository_map(paths: Sequence[str], limit_bytes: int = _MAP_BYTES) -> str:
    """Return the paths as lines, shallow ones first when not all fit, with a count of the rest."""
    shown: list[str] = []
    room = limit_bytes
    for path in sorted(paths, key=lambda path: (path.count("/"), path)):
        line = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        room -= len(line.encode()) + 1
        if room < 0:
            break
        shown.append(line)
    rest = len(paths) - len(shown)
    return "\n".join([*sorted(shown), *([f"… and {rest} more files"] if rest else [])])


def section(label: str, text: str) -> str:
    """Return a labelled part of the opening message."""
    tag = json.dumps(label, ensure_ascii=False)
    return f"<section name={tag}>\n{text.strip()}\n</section>"


def opening(facts: Sequence[tuple[str, str]], files: str) -> str:
    """Return the opening message's first text."""
    parts = [section(label, text) for label, text in facts if text.strip()]
    return "\n\n".join([*parts, section("Files of the repository", files)])
