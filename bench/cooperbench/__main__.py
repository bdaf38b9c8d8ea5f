"""Run pairs of CooperBench, print a JSON line a row, and say what does not hold.

Exit code 0: every gate holds; 1: one does not; 2: it cannot run. docs/benchmarks.md explains it.
"""

import argparse
import asyncio
import sys
from pathlib import Path

from bench.cooperbench import dataset, gates
from bench.cooperbench.dataset import DatasetError
from bench.cooperbench.run import Rows, Wanted, run
from runtime.services.child_process import end_process


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.cooperbench", description=__doc__)
    parser.add_argument("--dataset", default="", help="the dataset's folder")
    parser.add_argument("--mirrors", default="", help="a folder of clones of its repositories")
    parser.add_argument("--pairs", nargs="*", default=[], help="names of pairs, or beginnings")
    parser.add_argument("--subset", help="one of the dataset's own subsets")
    parser.add_argument("--limit", type=int, help="how many pairs, drawn by the seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rows", type=Path, help="file of rows; what it holds is not run again")
    parser.add_argument("--together", type=int, default=4, help="requests that run at once")
    parser.add_argument("--rule", action="store_true", help="only the rule of landed lines")
    parser.add_argument("--python", type=Path, help="an environment that can run their tests")
    return parser.parse_args()


def main() -> int:
    """Run what is asked for; see the exit codes above."""
    given = _arguments()
    try:
        folders = [_folder(name, getattr(given, name)) for name in ("dataset", "mirrors")]
        names = [*given.pairs]
        if given.subset:
            names += dataset.named_pairs(folders[0], given.subset)
        pairs = dataset.chosen(
            dataset.load(folders[0]), names=names, limit=given.limit, seed=given.seed
        )
        rows = Rows(given.rows)
        wanted = Wanted(requests=not given.rule, python=given.python, together=given.together)
        left = asyncio.run(run(pairs, folders[1], wanted, rows))
    except DatasetError as error:
        print(error, file=sys.stderr)
        return 2
    for line in (*gates.counts(rows.all), "", *(f"Left out: {each}." for each in left)):
        print(line)
    broken = [*gates.violations(rows.all)]
    for sentence in broken:
        print(f"VIOLATION {sentence}", file=sys.stderr)
    return 1 if broken else 0


def _folder(name: str, given: str) -> Path:
    if not given or not Path(given).is_dir():
        raise DatasetError(
            f"CooperBench needs DATASET and MIRRORS, local copies of the dataset and of its "
            f"repositories; {name.upper()} is {given or 'not given'}."
        )
    return Path(given).absolute()


if __name__ == "__main__":
    end_process(main())
