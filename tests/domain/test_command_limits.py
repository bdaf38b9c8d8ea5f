"""What one command may use: numbers that fit a host, and sentences that say what to do."""

from pathlib import Path

import pytest

from domain.command_limits import MB, SETTINGS, CommandLimits, amount, command_limits, why_ended

PAGE = Path(__file__).parents[2] / "docs" / "operating.md"


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        pytest.param(2_000 * MB, 1_000 * MB, id="half of a small host"),
        pytest.param(64_000 * MB, 4_000 * MB, id="not more on a large one"),
    ],
)
def test_memory_fits_the_host(memory: int, expected: int) -> None:
    """Half of what there is, so that one command never takes all."""
    assert command_limits(memory_bytes=memory, processors=2).memory_bytes == expected


@pytest.mark.parametrize(
    ("processors", "own", "expected"),
    [
        pytest.param(2, None, 512, id="a few hundred serve"),
        pytest.param(64, None, 1_024, id="more where there are many processors"),
        pytest.param(2, 1_600, 200, id="a share of what the worker's user may have"),
        pytest.param(2, 100, 64, id="not too few to work"),
    ],
)
def test_processes_fit_the_host(processors: int, own: int | None, expected: int) -> None:
    """A few hundred, and never all that the worker's user may have."""
    limits = command_limits(memory_bytes=MB, processors=processors, own_processes=own)
    assert limits.processes == expected


def test_a_setting_decides() -> None:
    """What a person sets holds, whatever the host has."""
    limits = command_limits(
        memory_bytes=MB, processors=1, memory_mb=7_000, processes=9_000, disk_mb=20_000
    )
    assert limits == CommandLimits(memory_bytes=7_000 * MB, processes=9_000, disk_bytes=20_000 * MB)


@pytest.mark.parametrize(
    "exceeded", ["time", "output", "memory", "system memory", "processes", "disk"]
)
def test_each_sentence_stands_on_the_page(exceeded: str) -> None:
    """The page shows what agent and person read, with the values that hold by default."""
    sentence = why_ended(exceeded, CommandLimits(), seconds=120, output_bytes=10 * MB)

    assert f"`{sentence}`" in PAGE.read_text("utf-8")
    assert (exceeded in SETTINGS) == ("a person can allow more" in sentence)


def test_amounts_are_short() -> None:
    """Bytes are shown in the unit that people count in."""
    assert [amount(400 * MB), amount(4_000 * MB)] == ["400 MB", "4.0 GB"]
