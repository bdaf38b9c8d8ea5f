"""What must hold of all rows, and the counts that are published."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bench.cooperbench.workshop import WRONG

Row = Mapping[str, Any]


def violations(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what does not hold, one sentence each."""
    requests = [row for row in rows if row["kind"] == "request"]
    for row in requests:
        where = f"{row['pair']} ({row['plan']}, {row['mind']})"
        if row["red"]:
            yield f"{where}: landed, and red where it was delivered: {', '.join(row['red'])}"
        if row["mind"] == "unites" and row["sound"] and len(row["landed"]) < 2:
            yield f"{where}: merges cleanly and was refused: {'; '.join(row['reasons'])}"
        if row["mind"] == "unites" and row["equal"] is False:
            yield f"{where}: what was delivered is not the clean merge"
        # What the mind "landed" drops is its own, not yet landed.
        if row["dropped"] and row["mind"] == "own":
            yield f"{where}: delivered without lines that landed, unnamed: {row['dropped'][0]}"
    yield from _narrower(requests)
    for row in rows:
        if row["kind"] == "rule" and row["resolution"] in WRONG and row["unseen"]:
            yield f"{row['pair']} ({row['resolution']}): dropped and not named: {row['unseen'][0]}"


def _narrower(requests: Iterable[Row]) -> Iterator[str]:
    landed = {(row["pair"], row["mind"], row["plan"]): len(row["landed"]) for row in requests}
    for (pair, mind, plan), count in landed.items():
        honest = landed.get((pair, mind, "honest"))
        if plan == "narrow" and honest is not None and honest < count:
            yield f"{pair} ({mind}): the honest plan landed {honest}, the narrow one {count}"


def counts(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the published counts, as rows of two markdown tables."""
    requests = [row for row in rows if row["kind"] == "request"]
    yield from _head(
        "plan", "agents", "requests", "tasks landed", "red landings", "told of undone lines",
        "delivered without a task's line",
    )  # fmt: skip
    for plan in ("narrow", "honest"):
        for mind in dict.fromkeys(row["mind"] for row in requests):
            some = [row for row in requests if (row["plan"], row["mind"]) == (plan, mind)]
            landed = sum(len(row["landed"]) for row in some)
            if some:
                share = f"{landed} of {2 * len(some)}"
                yield _line(plan, mind, len(some), share, *_held(some, "red", "told", "dropped"))
    yield ""
    yield from _head(
        "resolution", "pairs", "drop landed lines", "named", "a line not named",
        "said to remove", "said to bring back",
    )  # fmt: skip
    rules = [row for row in rows if row["kind"] == "rule"]
    for name in dict.fromkeys(row["resolution"] for row in rules):
        some = [row for row in rules if row["resolution"] == name]
        named = sum(bool(row["dropped"] and row["removes"]) for row in some)
        dropped, unseen, removes, restores = _held(some, "dropped", "unseen", "removes", "restores")
        yield _line(name, len(some), dropped, named, unseen, removes, restores)


def _held(rows: Sequence[Row], *names: str) -> list[int]:
    """Return, for each field, in how many rows it holds anything."""
    return [sum(bool(row[name]) for row in rows) for name in names]


def _head(*names: str) -> Iterator[str]:
    yield _line(*names)
    yield "|" + "---|" * len(names)


def _line(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"
