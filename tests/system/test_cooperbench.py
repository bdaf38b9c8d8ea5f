"""The benchmark of feature pairs, on two tiny repositories of its dataset's form."""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.cooperbench import dataset, gates
from bench.cooperbench.run import Rows, Wanted, run
from tests import tiny_cooperbench
from tests.local_deployment import ROOT

pytestmark = pytest.mark.minutes


def requests(rows: Rows, pair: str) -> dict[tuple[str, str], gates.Row]:
    """Return the rows of a pair's requests by plan and mind."""
    return {
        (row["plan"], row["mind"]): row
        for row in rows.all
        if row["kind"] == "request" and row["pair"] == pair
    }


async def carried(folder: Path, name: str, minds: tuple[str, ...]) -> Rows:
    """Run the pairs of one of the tiny repositories and return their rows."""
    tasks, mirrors = tiny_cooperbench.dataset(folder)
    pairs = dataset.chosen(dataset.load(tasks), names=(name,), limit=None, seed=0)
    rows = Rows(folder / "rows.jsonl")
    wanted = Wanted(python=Path(sys.executable), minds=minds, together=6)
    assert await run(pairs, mirrors, wanted, rows) == []
    assert len(Rows(folder / "rows.jsonl").all) == len(rows.all)
    return rows


async def test_a_pair_that_merges_cleanly_is_delivered_as_its_clean_merge(tmp_path: Path) -> None:
    """By a narrow plan and by an honest one; an agent that puts its own file over what landed does
    not land, and a first task that fails does not keep the second one back.
    """
    rows = await carried(tmp_path, "shop", ("unites", "own", "first-fails"))

    found = requests(rows, "shop_task/task1:1+2")
    assert all(row["tests"] and row["sound"] for row in found.values())
    for plan in ("narrow", "honest"):
        assert (found[plan, "unites"]["landed"], found[plan, "unites"]["equal"]) == (
            ["f1", "f2"], True,
        )  # fmt: skip
        assert found[plan, "first-fails"]["landed"] == ["f2"]
    own = found["honest", "own"]
    assert (own["landed"], own["dropped"]) == (["f1"], [])
    assert [*gates.violations(rows.all)] == []


async def test_no_wrong_resolution_of_a_conflict_is_delivered_unnamed(tmp_path: Path) -> None:
    """Both words land when they are united; a side that is dropped is told to a person, who rejects
    it, whatever the acceptance says.
    """
    rows = await carried(tmp_path, "menu", ("unites", "own", "gives-up"))

    found = requests(rows, "menu_task/task1:1+2")
    for plan in ("narrow", "honest"):
        assert found[plan, "unites"]["landed"] == ["f1", "f2"]
        assert len(found[plan, "own"]["told"]) == 1
        assert len(found[plan, "own"]["landed"]) == 1
        assert len(found[plan, "gives-up"]["landed"]) == 1
    rules = {row["resolution"]: row for row in rows.all if row["kind"] == "rule"}
    assert (rules["woven"]["removes"], rules["woven"]["restores"]) == (0, 0)
    assert rules["own"]["removes"] == rules["own"]["dropped"] == 1
    assert [*gates.violations(rows.all)] == []


@pytest.mark.parametrize("words", [(), ("--dataset", "/nowhere", "--mirrors", "/nowhere")])
def test_without_a_dataset_the_benchmark_says_so_and_ends_with_2(words: tuple[str, ...]) -> None:
    """In one sentence, on the error output."""
    command = [sys.executable, "-m", "bench.cooperbench", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "DATASET" in done.stderr
