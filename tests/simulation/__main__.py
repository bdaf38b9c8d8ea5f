"""`python -m tests.simulation`: many seeds on all cores, the failing ones named."""

import argparse
import time

from runtime.services.child_process import end_process
from tests.simulation.many import run_many, seeds_file
from tests.simulation.simulate import simulate


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many seeds to run")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument("--show", action="store_true", help="tell what happens, seed by seed")
    return parser.parse_args()


def main() -> int:
    """Run seeds and say which fail; 1 when one does."""
    given = _arguments()
    seeds = range(given.start, given.start + given.seeds)
    if given.show:
        return _show(seeds)
    began = time.monotonic()
    total = run_many(seeds, jobs=given.jobs)
    seconds = time.monotonic() - began
    for failure in total.failures:
        print(f"seed {failure.seed}: {failure.problem}\n")
    print(
        f"{total.seeds} seeds in {seconds:.1f} s: {total.seeds / seconds:.1f} a second, "
        f"{total.seeds / total.cpu_seconds:.1f} per second of one core; "
        f"{total.runs:,} workflow runs ({total.runs / total.cpu_seconds:.0f} per second of one "
        f"core), {total.hours:,.0f} simulated hours, {total.crashes:,} crashes, "
        f"{total.activations:,} activations, {total.replays:,} replayed, "
        f"{total.redone:,} redone"
    )
    print(f"requests: {', '.join(f'{how} {count}' for how, count in sorted(total.ended.items()))}")
    if total.failures:
        named = " ".join(str(failure.seed) for failure in total.failures)
        print(f"{len(total.failures)} seeds fail: {named}")
        print(
            f"Look at one with --show --seeds 1 --start SEED, and keep it in {seeds_file().name}."
        )
    return 1 if total.failures else 0


def _show(seeds: range) -> int:
    found = False
    for seed in seeds:
        result = simulate(seed, words=True)
        found = found or bool(result.violations)
        print(f"seed {seed}: {result.ended}, trace {result.fingerprint}")
        print(*result.lines, sep="\n")
        print(*(f"VIOLATION {each}" for each in result.violations), sep="\n")
    return int(found)


if __name__ == "__main__":
    end_process(main())
