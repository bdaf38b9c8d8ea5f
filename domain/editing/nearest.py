"""Where a file is most like lines that it does not hold, to show an agent what it misquotes."""

from collections.abc import Sequence
from difflib import SequenceMatcher, unified_diff
from heapq import nlargest

from domain.editing.diff import bounded

_LIMIT_BYTES = 2_048
_LINES = 2_000
_CHARS = 300
_MIN_RATIO = 0.6
_MOST_LIKELY = 10


def nearest(contents: Sequence[str], quoted: Sequence[str], *, called: str) -> str:
    """Return how the file differs from quoted lines where it is most like them; "" for nowhere.

    `called` is what the agent knows the quoted lines as.
    """
    first = _nearest(contents, quoted)
    if first is None:
        return ""
    quoted = quoted[:_LINES]
    held = contents[first : first + len(quoted)]
    lines = list(unified_diff(quoted, held, lineterm="", n=1))[3:]
    place = f"lines {first + 1} to {first + len(held)}" if len(held) > 1 else f"line {first + 1}"
    title = f"The nearest text is at {place}; - is {called}, + is the file:"
    return bounded([title, *lines], limit_bytes=_LIMIT_BYTES)


def _nearest(contents: Sequence[str], quoted: Sequence[str]) -> int | None:
    """Return the index of the line at which the file is most like the quoted lines, if anywhere."""
    wanted: dict[str, list[int]] = {}
    for index, line in enumerate(quoted):
        if line.strip():
            wanted.setdefault(line.strip(), []).append(index)
    votes: dict[int, int] = {}
    for at, line in enumerate(contents):
        for index in wanted.get(line.strip(), ())[:_MOST_LIKELY]:
            votes[at - index] = votes.get(at - index, 0) + 1
    if votes:
        return max(0, max(votes, key=lambda first: (votes[first], -first)))
    return _alike(contents, quoted)


def _alike(contents: Sequence[str], quoted: Sequence[str]) -> int | None:
    """Return where the longest quoted line has its likeness, by characters, within bounds."""
    index = max(range(len(quoted)), key=lambda i: len(quoted[i].strip()))
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(quoted[index].strip()[:_CHARS])

    def ratio(at: int, *, quick: bool) -> float:
        matcher.set_seq1(contents[at].strip()[:_CHARS])
        return matcher.quick_ratio() if quick else matcher.ratio()

    lines = range(min(len(contents), _LINES))
    likely = nlargest(_MOST_LIKELY, lines, key=lambda at: ratio(at, quick=True))
    best = max(likely, key=lambda at: ratio(at, quick=False))
    return max(0, best - index) if ratio(best, quick=False) >= _MIN_RATIO else None
