"""Many seeds, over several processes."""

import gc
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.simulation.simulate import simulate

_CHUNK = 25


@dataclass(frozen=True)
class Failure:
    """A seed that found something."""

    seed: int
    problem: str


@dataclass
class Total:
    """The totals of many seeds."""

    seeds: int = 0
    failures: list[Failure] = field(default_factory=list)
    ended: Counter[str] = field(default_factory=Counter)
    hours: float = 0.0
    cpu_seconds: float = 0.0
    runs: int = 0
    crashes: int = 0
    activations: int = 0
    replays: int = 0
    redone: int = 0

    def add(self, other: "Total") -> None:
        """Add what another process found."""
        self.failures += other.failures
        self.ended += other.ended
        for name in (
            "seeds", "hours", "cpu_seconds", "runs", "crashes", "activations", "replays", "redone",
        ):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))


def run_many(seeds: Sequence[int], *, jobs: int) -> Total:
    """Run seeds, in this process when `jobs` is 1."""
    chunks = [tuple(seeds[at : at + _CHUNK]) for at in range(0, len(seeds), _CHUNK)]
    total = Total()
    if jobs == 1 or len(chunks) == 1:
        for chunk in chunks:
            total.add(run_chunk(chunk))
    else:
        # Spawned: a fork would inherit locks that the parent's threads hold.
        context = multiprocessing.get_context("spawn")
        with context.Pool(jobs) as pool:
            for part in pool.imap_unordered(run_chunk, chunks):
                total.add(part)
    total.failures.sort(key=lambda failure: failure.seed)
    return total


def run_chunk(seeds: Iterable[int]) -> Total:
    """Run seeds one after the other."""
    total = Total()
    began = time.process_time()
    for seed in seeds:
        result = simulate(seed)
        total.seeds += 1
        total.ended[result.ended] += 1
        total.hours += result.hours
        total.runs += result.runs
        total.crashes += result.counters.crashes
        total.activations += result.counters.activations
        total.replays += result.counters.replays
        total.redone += result.counters.redone
        if result.violations:
            total.failures.append(Failure(seed, "\n  ".join(result.violations)[:4_000]))
    gc.collect()
    total.cpu_seconds = time.process_time() - began
    return total


def seeds_file() -> Path:
    """Return the file of seeds that once failed."""
    return Path(__file__).with_name("seeds.txt")


def kept_seeds() -> tuple[int, ...]:
    """Return the seeds that once failed: the first word of each line that is not a comment."""
    lines = seeds_file().read_text().splitlines()
    return tuple(int(line.split()[0]) for line in lines if line.strip() and line[0] != "#")
