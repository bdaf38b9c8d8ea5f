"""The dataset as it lies on disk: tasks, their features, and the pairs of these."""

import itertools
import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_BASE = re.compile(r"\b[0-9a-f]{40}\b")
_TEST = re.compile(
    r"^\s*(?:timeout \d+ )?(?:python3? -m pytest|pytest|go test)\b(?P<words>.*)$", re.MULTILINE
)
_TEST_FILE = re.compile(r"(?:^|\s)\"?([\w./-]*[Tt]ests?/[\w./-]+\.py)")


class DatasetError(Exception):
    """The dataset or the mirrors cannot be used; the text is one sentence."""


@dataclass(frozen=True)
class Feature:
    """One feature: a patch of the code, and one of the tests that it must pass."""

    number: int
    title: str
    patch: bytes
    tests: bytes

    @property
    def task(self) -> str:
        """Its task in a plan."""
        return f"f{self.number}"


@dataclass(frozen=True)
class Change:
    """What the dataset calls a task: several features of one commit of one repository.

    Attributes:
        name: "repository/task".
        base: the commit.
        test_files: what its runner gives to pytest; empty when it uses something else.
    """

    name: str
    base: str
    test_files: tuple[str, ...]
    features: tuple[Feature, ...]


@dataclass(frozen=True)
class Pair:
    """Two features of one change; the first lands first."""

    change: Change
    first: Feature
    second: Feature

    @property
    def name(self) -> str:
        """Name of its row: "repository/task:1+2"."""
        return f"{self.change.name}:{self.first.number}+{self.second.number}"


def load(folder: Path) -> tuple[Change, ...]:
    """Return every change below a folder, in order of their names.

    Raises:
        DatasetError: there is none.
    """
    found = [
        change
        for path in sorted(folder.glob("*/task*"))
        if path.is_dir() and (change := _change(path))
    ]
    if not found:
        raise DatasetError(
            f"{folder} holds no CooperBench tasks (<repository>_task/task<n>/feature<n>/)."
        )
    return tuple(found)


def chosen(
    changes: Sequence[Change], *, names: Sequence[str], limit: int | None, seed: int
) -> list[Pair]:
    """Return the pairs to run: those named, or so many of all, drawn by the seed.

    A name is a pair's, or the beginning of some.
    """
    pairs = [pair for change in changes for pair in _pairs(change)]
    if names:
        pairs = [pair for pair in pairs if pair.name.startswith(tuple(names))]
    if limit is not None and limit < len(pairs):
        drawn = set(random.Random(seed).sample(range(len(pairs)), limit))
        pairs = [pair for number, pair in enumerate(pairs) if number in drawn]
    return pairs


def named_pairs(folder: Path, subset: str) -> list[str]:
    """Return the names of the pairs of one of the dataset's own subsets.

    Raises:
        DatasetError: it is not there.
    """
    path = folder / "subsets" / f"{subset}.json"
    try:
        tasks = json.loads(path.read_bytes())["tasks"]
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(f"{path} is no subset of the dataset ({error}).") from error
    return [
        f"{task['repo']}/task{task['task_id']}:{first}+{second}"
        for task in tasks
        for first, second in task["pairs"]
    ]


def _pairs(change: Change) -> Iterator[Pair]:
    for first, second in itertools.combinations(change.features, 2):
        yield Pair(change, first, second)


def _change(path: Path) -> Change | None:
    setup = path / "setup.sh"
    base = _BASE.search(setup.read_text(errors="replace")) if setup.is_file() else None
    folders = sorted(path.glob("feature*/feature.patch"), key=lambda each: _number(each.parent))
    if base is None or len(folders) < 2:
        return None
    return Change(
        name=f"{path.parent.name}/{path.name}",
        base=base[0],
        test_files=_test_files(path / "runner.sh"),
        features=tuple(_feature(each.parent) for each in folders),
    )


def _feature(path: Path) -> Feature:
    tests = path / "tests.patch"
    words = path / "feature.md"
    told = words.read_text(errors="replace") if words.is_file() else ""
    title = next((line for raw in told.splitlines() if (line := raw.strip("*# \t"))), path.name)
    return Feature(
        number=_number(path),
        title=title.removeprefix("Title:").strip("* ")[:100],
        patch=(path / "feature.patch").read_bytes(),
        tests=tests.read_bytes() if tests.is_file() else b"",
    )


def _number(path: Path) -> int:
    return int(path.name.removeprefix("feature"))


def _test_files(runner: Path) -> tuple[str, ...]:
    told = runner.read_text(errors="replace") if runner.is_file() else ""
    words = " ".join(found["words"] for found in _TEST.finditer(told))
    return tuple(dict.fromkeys(_TEST_FILE.findall(words)))
