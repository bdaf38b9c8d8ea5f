"""The difference between two versions of a text, as a bounded unified diff for a reader.

Made to be read by a model or a person, not applied: it is cut to size and hides line ends.
"""

from collections.abc import Sequence
from difflib import unified_diff
from itertools import islice

from domain.editing.document import Document, parse

DIFF_LIMIT_BYTES = 4_096
_CONTEXT_LINES = 3
_COMPARE_AT_MOST_LINES = 5_000


def difference(path: str, before: Document | None, after: Document) -> str:
    """Return the unified diff from `before` (None: no file, or none that is text) to `after`.

    At most `DIFF_LIMIT_BYTES`, and when cut, it says so.
    """
    old, new = _lines(before) if before else [], _lines(after)
    head = _common(old, new)
    tail = _common(old[head:][::-1], new[head:][::-1])
    skip = max(0, head - _CONTEXT_LINES)
    rest = max(0, tail - _CONTEXT_LINES)
    old, new = old[skip : len(old) - rest], new[skip : len(new) - rest]
    cut = max(len(old), len(new)) > _COMPARE_AT_MOST_LINES
    lines = _hunks(old[:_COMPARE_AT_MOST_LINES], new[:_COMPARE_AT_MOST_LINES], skip=skip)
    if cut:
        lines = _without_last_hunk(lines)
    title = [f"--- a/{path}" if before else "--- /dev/null", f"+++ b/{path}"]
    return bounded([*title, *lines], cut=cut) if lines or cut else ""


def bounded(lines: Sequence[str], *, limit_bytes: int = DIFF_LIMIT_BYTES, cut: bool = False) -> str:
    """Return as many of the lines as fit into `limit_bytes` of UTF-8, and whether any are missing.

    `cut` says that some are missing already.
    """
    notice = "[the rest of the difference is not shown]"
    room = limit_bytes - len(notice) - 1
    kept: list[str] = []
    for line in lines:
        room -= len(line.encode(errors="replace")) + 1
        if room < 0:
            cut = True
            break
        kept.append(line)
    return "\n".join([*kept, notice] if cut else kept)


def _lines(document: Document) -> list[str]:
    """Return the lines with their ends, so that a changed line end is a difference."""
    pairs = list(zip(document.contents, document.ends, strict=True))
    return [c + e for c, e in pairs if c + e]


def _common(old: Sequence[str], new: Sequence[str]) -> int:
    pairs = zip(old, new, strict=False)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(old), len(new)))


def _hunks(old: Sequence[str], new: Sequence[str], *, skip: int) -> list[str]:
    """Return the hunks between two pieces that both begin behind `skip` lines."""
    lines = islice(unified_diff(old, new, lineterm="", n=_CONTEXT_LINES), 2, None)
    return [_moved(line, skip) if line.startswith("@@") else _shown(line) for line in lines]


def _without_last_hunk(lines: Sequence[str]) -> list[str]:
    """Leave out the hunk that the bound on compared lines may have made."""
    headings = [index for index, line in enumerate(lines) if line.startswith("@@")]
    return list(lines[: headings[-1]]) if headings else []


def _moved(heading: str, skip: int) -> str:
    _, old, new, _ = heading.split(" ")
    return f"@@ {_range(old, skip)} {_range(new, skip)} @@"


def _range(text: str, skip: int) -> str:
    start, comma, count = text[1:].partition(",")
    return f"{text[0]}{int(start) + skip}{comma}{count}"


def _shown(line: str) -> str:
    content = parse(line).contents[0]
    return content if line[-1] in "\r\n" else content + "\n\\ No newline at end of file"
