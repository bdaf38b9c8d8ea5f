"""The rule of landed lines on real pairs: what it names of wrong resolutions, and of right ones."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from activities.landed_lines import undone_by
from bench.cooperbench.dataset import Feature, Pair
from bench.cooperbench.workshop import WRONG, Outcome, Workshop
from contracts.review import Undone, UndoneKind
from domain.review.commit_message import TRAILER
from infra.store import Store, transport

_WORD = re.compile(r"\w+")
_BINARY_BYTES = 8_000


@dataclass(frozen=True)
class RuleRow:
    """What the rule says of one resolution of one pair.

    Attributes:
        resolution: one of RIGHT, STACKED, or one of WRONG.
        dropped: lines that the first feature added and that the whole has no more.
        unseen: those that are no part of a longer or of a new line, in files of which fewer lines
            are named.
        removes, restores: how many lines are named as removed, as brought back.
        named: the first of them.
    """

    pair: str
    resolution: str
    conflicts: bool
    dropped: int
    unseen: tuple[str, ...]
    removes: int
    restores: int
    named: tuple[str, ...]

    def fields(self) -> dict[str, object]:
        """Return the row as JSON holds it."""
        return {"kind": "rule", **asdict(self)}


async def rows(workshop: Workshop, pairs: Sequence[Pair], store: Path) -> list[RuleRow]:
    """Return the rows of a change's pairs; `store` is a folder that does not exist yet."""
    outcomes = [(pair, workshop.outcome(pair)) for pair in pairs]
    made = [
        (pair, outcome, name, _patch(workshop, pair, outcome.landed, tree))
        for pair, outcome in outcomes
        for name, tree in outcome.trees.items()
        # A resolution that is the clean merge drops nothing.
        if name not in WRONG or tree != outcome.trees.get("clean")
    ]
    for number, (*_, commit) in enumerate(made):
        workshop.keep(f"made/{number}", commit)
    async with await Store.clone(workshop.git.folder, store) as opened:
        commits = dict.fromkeys((workshop.base, *(commit for *_, commit in made)))
        await transport.fetch_objects(opened, workshop.git.folder, *commits)
        return [
            _row(
                workshop,
                pair,
                name,
                outcome,
                commit=commit,
                undone=await undone_by(opened, workshop.base, outcome.landed, commit),
            )
            for pair, outcome, name, commit in made
        ]


def _patch(workshop: Workshop, pair: Pair, landed: str, tree: str) -> str:
    message = f"{pair.second.title}\n\n{TRAILER}: {pair.second.task}\n"
    return workshop.git.commit(tree, landed, message=message)


def _row(
    workshop: Workshop,
    pair: Pair,
    name: str,
    outcome: Outcome,
    *,
    commit: str,
    undone: Sequence[Undone],
) -> RuleRow:
    dropped = dict(dropped_lines(workshop, pair.first, commit))
    new = _new_lines(workshop, outcome.landed, commit)
    named = Counter[str]()
    for each in undone:
        named[each.path] += each.count * (each.kind is UndoneKind.REMOVES)
    return RuleRow(
        pair=pair.name,
        resolution=name,
        conflicts=bool(outcome.conflicts),
        dropped=sum(map(len, dropped.values())),
        unseen=tuple(
            line
            for path, lines in dropped.items()
            for gone in ([*not_extended(lines, workshop.git.content(commit, path), new)],)
            if named[path] < len(gone)
            for line in gone
        )[:20],
        removes=named.total(),
        restores=sum(each.count for each in undone if each.kind is UndoneKind.RESTORES),
        named=tuple(f"{each.kind}: {line}" for each in undone for line in each.lines)[:8],
    )


def dropped_lines(
    workshop: Workshop, feature: Feature, commit: str
) -> Iterator[tuple[str, list[str]]]:
    """Yield, by path, the lines with a word that a feature adds and a commit lacks."""
    git, own = workshop.git, workshop.commit(feature)
    for path in workshop.paths(feature):
        there, before, now = (
            Counter(_lines(git.content(each, path))) for each in (own, workshop.base, commit)
        )
        gone = (there - before) & (there - now)
        if lines := [line for line in gone.elements() if _WORD.search(line)]:
            yield path, lines


def not_extended(
    lines: Iterable[str], content: bytes | None, new: Iterable[str] = ()
) -> Iterator[str]:
    """Yield the lines that are not part of a longer line of a file, nor of these new ones."""
    longer = [Counter(_WORD.findall(line)) for line in (*_lines(content), *new)]
    for line in lines:
        words = Counter(_WORD.findall(line))
        if not any(words <= each for each in longer):
            yield line


def _new_lines(workshop: Workshop, before: str, after: str) -> list[str]:
    """Return the lines that a change adds, as git tells them."""
    diff = workshop.git.run("diff-tree", "-r", "-p", "-U0", before, after)[1]
    return [line[1:].strip() for line in _lines(diff) if line.startswith("+")]


def _lines(data: bytes | None) -> list[str]:
    if data is None or b"\0" in data[:_BINARY_BYTES]:
        return []
    return [line.decode("utf-8", "replace").strip() for line in data.split(b"\n")]
