"""What a task may write: its declared paths, what others claim, and which paths people ask for.

Only data is made here, for the activities that judge it (`undeclared`); nothing is decided.
"""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from types import MappingProxyType

from contracts.planning import Claim, Plan, WriteScope
from contracts.subtask import SubtaskStart
from domain.planning import write_patterns

_CLAIM_CHARS = 16_000
_MOST_WORDS = 50
_WORD_CHARS = 100
_SENTENCE = re.compile(r"[.!?;](?=\s)|\n")
_FORBIDS = re.compile(
    r"\b(not|never|no|without|leave|except|avoid|nothing|instead|ignore|neither)\b|n['’]t\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[\w./*@+-]+")
_FILE_NAME = re.compile(r"[^/]\.[A-Za-z]\w{0,7}$|^[A-Z]{4,}$|^[A-Z][a-z]+file$")
DOCUMENTS = ("readme", "changelog", "changes", "history", "news")
"""Documents of a whole project, by what their names begin with."""
_FOLDERS = MappingProxyType({"docs": ("docs", "doc"), "documentation": ("docs", "doc")})


def claims(plan: Plan, task: str) -> tuple[Claim, ...]:
    """Return what the other tasks of a plan write; not those that have ended before it starts."""
    before = {task, *ancestors(plan, task)}
    others = [each for each in plan.tasks if each.id not in before and each.writes]
    room, kept = _CLAIM_CHARS, []
    for each in others:
        room -= sum(map(len, each.writes))
        if room >= 0:
            kept.append(Claim(task=each.id, writes=each.writes))
    return tuple(kept)


def ancestors(plan: Plan, task: str) -> frozenset[str]:
    """Return the tasks that have ended before this one starts; for membership only."""
    found = {task}
    for each in reversed(plan.tasks):  # a plan is in topological order
        if each.id in found:
            found.update(each.depends_on)
    return frozenset(found - {task})


def scope_of(start: SubtaskStart, notes: Iterable[str]) -> WriteScope | None:
    """Return what a task may write, None for one from before its claims were known."""
    if start.claims is None:
        return None
    scope = WriteScope(
        writes=start.task.writes, claims=start.claims, asked=paths_named(start.request)
    )
    return with_notes(scope, notes)


def with_notes(scope: WriteScope, notes: Iterable[str]) -> WriteScope:
    """Return the scope with the paths that further notes of a person ask for."""
    words = (*scope.noted, *(word for text in notes for word in paths_named(text)))
    return scope.model_copy(update={"noted": tuple(dict.fromkeys(words))[-_MOST_WORDS:]})


def about(scope: WriteScope, path: str) -> WriteScope | None:
    """Return what of a scope speaks of one path, None when the task declares it."""
    path = write_patterns.normal(path)
    if write_patterns.covers(scope.writes, path):
        return None
    return scope.model_copy(
        update={
            "claims": tuple(
                claim for claim in scope.claims if write_patterns.covers(claim.writes, path)
            ),
            "asked": tuple(word for word in scope.asked if names((word,), path)),
            "noted": tuple(word for word in scope.noted if names((word,), path)),
        }
    )


def paths_named(text: str) -> tuple[str, ...]:
    """Return the words by which a text asks for paths; none of a sentence that forbids."""
    words = (
        word
        for sentence in _SENTENCE.split(text)
        if not _FORBIDS.search(sentence)
        for word in (found.strip(".-") for found in _WORD.findall(sentence))
        if len(word) <= _WORD_CHARS and _is_path(word)
    )
    return tuple(islice(dict.fromkeys(words), _MOST_WORDS))


def _is_path(word: str) -> bool:
    if word.startswith("//") or not word.strip("/*"):
        return False
    known = word.casefold() in (*DOCUMENTS, *_FOLDERS)
    return known or "/" in word or _FILE_NAME.search(word) is not None


def names(words: Sequence[str], path: str) -> bool:
    """Return whether one of these words names the path."""
    return any(_names(word, path) for word in words)


def _names(word: str, path: str) -> bool:
    plain, folded = write_patterns.normal(word).casefold(), path.casefold()
    if folded == plain or folded.endswith(f"/{plain}"):
        return True
    if folders := _FOLDERS.get(plain):
        return any(folder in folders for folder in folded.split("/")[:-1])
    if "*" in plain:
        return fnmatchcase(folded, plain) or fnmatchcase(folded.rsplit("/", 1)[-1], plain)
    if plain.endswith("/"):
        return f"/{folded}".startswith(f"/{plain}")
    # README stands for README.md, and for nothing else in a folder of that name.
    return "/" not in plain and folded.rsplit("/", 1)[-1].partition(".")[0] == plain
