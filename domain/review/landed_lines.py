"""Which landed lines a patch undoes: removes, or brings back after another task removed them."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from contracts.review import Undone, UndoneKind
from domain.text import one_line

_WORD = re.compile(r"\w+")
_FEW_WORDS = 3
"""A line of fewer words is kept only where it stands unchanged: short lines resemble each other."""
_SHOWN_LINES = 8
_LINE_CHARS = 160
_FILES = 30


_NEAR = 3
"""A line comes back where it was removed, or at most so many lines from there."""


@dataclass(frozen=True)
class ChangedLine:
    """One line that only one of two contents of a file has.

    Attributes:
        number: in its own content, from 1.
        across: first and last line of the other content at which it would stand.
    """

    text: str
    number: int
    across: tuple[int, int]


@dataclass(frozen=True)
class LandedLine:
    """A line of landed work that a patch changes.

    Attributes:
        task: that landed it, or that removed it; "" when unknown.
        path: in the tree that the patch is made on.
        restored: the task removed it, and the patch brings it back.
    """

    task: str
    path: str
    text: str
    restored: bool = False


def restored(
    removed: Iterable[ChangedLine], kept: Iterable[str], added: Iterable[ChangedLine]
) -> list[str]:
    """Return the lines that a patch brings back into a file.

    Landed work `removed` them from it, and no line that it added there (`kept`) has them; the
    patch `added` them where they were. Each removed line comes back once.
    """
    still = _Kept(kept)
    places: dict[str, list[tuple[int, int]]] = {}
    for line in removed:
        if not still.has(line.text):
            places.setdefault(line.text, []).append(line.across)
    return [line.text for line in added if _comes_back(line, places.get(line.text, []))]


def _comes_back(line: ChangedLine, places: list[tuple[int, int]]) -> bool:
    """Return whether a line stands where an equal one was, and take that place."""
    first, last = line.across
    for place in places:
        if first <= place[1] + _NEAR and place[0] <= last + _NEAR:
            places.remove(place)
            return True
    return False


def copies(lines: Iterable[LandedLine], moved: Iterable[str]) -> list[LandedLine]:
    """Return those of lines that landed work has taken from elsewhere which it only copied.

    A copy is work of its own. What landed work removed, `moved`, excuses one equal line each.
    """
    taken = Counter(text.strip() for text in moved)
    found: list[LandedLine] = []
    for line in lines:
        taken[line.text.strip()] -= 1
        if taken[line.text.strip()] < 0:
            found.append(line)
    return found


def undone(
    lines: Sequence[LandedLine], added: Iterable[str], *, kind: UndoneKind = UndoneKind.REMOVES
) -> tuple[Undone, ...]:
    """Return what a patch undoes, by task and file.

    A line that the patch adds somewhere else, indented otherwise or longer than before, is kept.
    Lines without a word (blank ones, lone brackets) are nobody's work.

    Args:
        lines: landed lines that the patch removes, and removed ones that it brings back.
        added: every line that the patch adds.
        kind: of the lines that are removed.
    """
    found: dict[tuple[str, str, UndoneKind], list[str]] = {}
    kept = _Kept(added)
    for line in lines:
        if not _WORD.search(line.text) or (not line.restored and kept.has(line.text)):
            continue
        how = UndoneKind.RESTORES if line.restored else kind
        found.setdefault((line.task, line.path, how), []).append(line.text)
    return tuple(
        Undone(
            task=task,
            path=path,
            kind=how,
            count=len(texts),
            lines=tuple(one_line(text, _LINE_CHARS) for text in texts[:_SHOWN_LINES]),
        )
        for (task, path, how), texts in list(found.items())[:_FILES]
    )


class _Kept:
    """The lines that a patch adds; each keeps one removed line of the same text."""

    def __init__(self, added: Iterable[str]) -> None:
        texts = [text.strip() for text in added]
        self._same = Counter(texts)
        self._words = [Counter(_WORD.findall(text)) for text in texts]

    def has(self, text: str) -> bool:
        """Return whether a removed line is still there, in itself or as part of a longer one."""
        plain = text.strip()
        if self._same[plain] > 0:
            self._same[plain] -= 1
            return True
        words = Counter(_WORD.findall(plain))
        return words.total() >= _FEW_WORDS and any(words <= longer for longer in self._words)
