"""Five hundred seeds, a hundred of them with `make test`, and every seed that ever found a bug."""

import os
import subprocess
import sys

import pytest

from tests.simulation.many import kept_seeds, run_many
from tests.simulation.simulate import simulate

_SEEDS = 100


@pytest.mark.parametrize(
    "start", [0, *(pytest.param(n, marks=pytest.mark.minutes) for n in range(100, 500, 100))]
)
def test_five_hundred_seeds_hold_every_invariant(start: int) -> None:
    """Requests end, patches land once and nothing is lost under every fault of 500 seeds."""
    total = run_many(range(start, start + _SEEDS), jobs=min(os.cpu_count() or 1, 4))

    assert total.failures == []
    assert total.seeds == _SEEDS
    assert {"completed", "failed", "cancelled"} <= {*total.ended}
    assert total.crashes > _SEEDS
    assert total.replays > 10 * _SEEDS


@pytest.mark.parametrize("seed", kept_seeds())
def test_a_seed_that_once_found_a_fault_finds_none_now(seed: int) -> None:
    """A bug that was fixed stays fixed."""
    result = simulate(seed)

    assert result.violations == ()


def test_a_seed_is_one_story() -> None:
    """The same seed makes the same events at the same moments, in another process and with another
    order of sets and dictionaries too.
    """
    seed = 7
    command = [sys.executable, "-m", "tests.simulation", "--show", "--seeds", "1", "--start", "7"]
    elsewhere = subprocess.run(
        command,
        env={**os.environ, "PYTHONHASHSEED": "4711"},
        capture_output=True,
        text=True,
        check=True,
    )

    first, again = simulate(seed), simulate(seed)

    assert first.fingerprint == again.fingerprint
    assert f"trace {first.fingerprint}" in elsewhere.stdout.splitlines()[0]
    assert simulate(seed + 1).fingerprint != first.fingerprint
