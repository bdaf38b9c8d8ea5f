"""All chosen pairs, change by change, each row written as it is known."""

import asyncio
import itertools
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cooperbench import kit, mirrors, rule
from bench.cooperbench.carried import Site
from bench.cooperbench.checker import Checker, checker
from bench.cooperbench.dataset import Change, Pair
from bench.cooperbench.plays import PLANS, Play, minds_of, script
from bench.cooperbench.workshop import Workshop, broken
from bench.deployment import deployed, folder
from cli.client import RequestClient
from contracts.repository import Environment

Row = Mapping[str, Any]


class Rows:
    """The rows of a run, in a file that a later run goes on with.

    Args:
        file: one JSON object a line; None keeps them in memory alone.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        written = file.read_text().splitlines() if file and file.exists() else []
        self.all: list[Row] = [json.loads(line) for line in written]
        self._names = {_name(row) for row in self.all}

    def has(self, *name: str) -> bool:
        """Return whether a row is there already."""
        return name in self._names

    def add(self, row: Row) -> None:
        """Keep a row and print it."""
        line = json.dumps(row)
        if self._file:
            with self._file.open("a") as out:
                out.write(f"{line}\n")
        print(line, flush=True)
        self.all.append(json.loads(line))
        self._names.add(_name(row))


def _name(row: Row) -> tuple[str, ...]:
    if row["kind"] == "request":
        return (row["pair"], row["plan"], row["mind"])
    return (row["pair"], row["kind"])


@dataclass(frozen=True)
class Wanted:
    """What to run.

    Attributes:
        requests: carry the pairs through the product, not only the rule.
        python: of an environment with what the features' tests need; None: their files parse.
        plans, minds: those to run; empty means all.
        together: requests that run at once.
    """

    requests: bool = True
    python: Path | None = None
    plans: tuple[str, ...] = PLANS
    minds: tuple[str, ...] = ()
    together: int = 4

    def environment(self) -> Environment:
        """Return the environment of the commands."""
        path = os.environ.get("PATH", os.defpath)
        if self.python is None:
            return Environment(path=path)
        # Its folder as it is named: a link to the interpreter is what makes it an environment.
        folder = self.python.absolute().parent
        return Environment(path=f"{folder}:{path}", virtual_env=str(folder.parent))


async def run(pairs: Sequence[Pair], mirror_folder: Path, wanted: Wanted, rows: Rows) -> list[str]:
    """Run pairs and return what was left out, one sentence each."""
    there = mirrors.find(mirror_folder)
    left: list[str] = []
    for change, some in itertools.groupby(pairs, lambda pair: pair.change):
        group = list(some)
        mirror = mirrors.holding(there, change.base)
        if mirror is None:
            left.append(f"{change.name}: {len(group)} pairs, no mirror has {change.base}")
            continue
        with folder() as place:
            left += await _change(change, mirror, group, place, wanted=wanted, rows=rows)
    return left


async def _change(
    change: Change, mirror: Path, pairs: Sequence[Pair], place: Path, *, wanted: Wanted, rows: Rows
) -> list[str]:
    plain = Workshop(change, mirror, place / "plain")
    bad = {*broken(plain)}
    sound = [pair for pair in pairs if not {pair.first.number, pair.second.number} & bad]
    todo = [pair for pair in sound if not rows.has(pair.name, "rule")]
    for row in await rule.rows(plain, todo, place / "rule.git") if todo else ():
        rows.add(row.fields())
    if wanted.requests:
        await _requests(plain, mirror, sound, place, wanted=wanted, rows=rows)
    if len(sound) == len(pairs):
        return []
    return [f"{change.name}: {len(pairs) - len(sound)} pairs, patches that do not apply"]


async def _requests(
    plain: Workshop, mirror: Path, pairs: Sequence[Pair], place: Path, *, wanted: Wanted, rows: Rows
) -> None:
    plays = [play for play in _plays(plain, pairs, wanted) if not rows.has(*_of(play))]
    if not plays:
        return
    change = plain.change
    trees = {each.number: plain.tree(each) for each in change.features if plain.applies(each)}
    extra = kit.files(change, plain.git, plain.base_tree, trees)
    workshop = Workshop(change, mirror, place / "kit", extra)
    async with AsyncExitStack() as stack:
        environment = wanted.environment()
        site = Site(
            workshop,
            _cloned(workshop, place / "person"),
            environment,
            await stack.enter_async_context(checker(place / "checks", environment)),
        )
        tested = await _tested(site.checker, workshop, plays, wanted)
        plays = [Play(each.pair, each.plan, each.mind, each.paths, tested) for each in plays]
        bench = await stack.enter_async_context(deployed(place, script(plays)))
        client = RequestClient(bench.client, worker_seconds=20)
        places = asyncio.Semaphore(wanted.together)

        async def carry(play: Play) -> None:
            async with places:
                rows.add((await site.carry(client, play)).fields())

        await asyncio.gather(*map(carry, plays))


def _of(play: Play) -> tuple[str, ...]:
    return (play.pair.name, play.plan, play.mind)


def _plays(workshop: Workshop, pairs: Sequence[Pair], wanted: Wanted) -> Iterator[Play]:
    for pair in pairs:
        conflicts = bool(workshop.outcome(pair).conflicts)
        paths = tuple(workshop.paths(pair.first)), tuple(workshop.paths(pair.second))
        for plan in wanted.plans:
            for mind in minds_of(plan=plan, conflicts=conflicts):
                if not wanted.minds or mind in wanted.minds:
                    yield Play(pair, plan, mind, paths, frozenset())


def _cloned(workshop: Workshop, path: Path) -> Path:
    """Return the person's repository: the base alone, with a work tree."""
    words = ["clone", "-q", "--no-local", "--branch", "main", "--single-branch"]
    subprocess.run(["git", *words, str(workshop.git.folder), str(path)], check=True)
    return path


async def _tested(
    checks: Checker, workshop: Workshop, plays: Sequence[Play], wanted: Wanted
) -> frozenset[int]:
    """Return the features whose own tests pass with their own patches, so that they can judge."""
    if wanted.python is None or not workshop.change.test_files:
        return frozenset()
    features = {each.number: each for play in plays for each in play.features()}
    found: set[int] = set()
    for feature in features.values():
        commit = workshop.commit(feature)
        workshop.keep(f"tests/{feature.number}", commit)
        command = kit.acceptance(feature, tests=True)
        if feature.tests and await checks.passes(workshop.git.folder, commit, command):
            found.add(feature.number)
    return frozenset(found)
