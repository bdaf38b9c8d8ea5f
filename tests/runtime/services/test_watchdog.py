"""Signs of life: who never beat is not missed, who stops beating is, and nobody else."""

import asyncio
import os

import pytest

from runtime.services import watchdog
from runtime.services.watchdog import HeartbeatPipe, beat, until_silent, until_still


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything ten times as fast."""
    monkeypatch.setattr(watchdog, "BEAT_SECONDS", 0.1)
    monkeypatch.setattr(watchdog, "_ASK_SECONDS", 0.1)


async def test_a_child_that_stops_beating_is_missed() -> None:
    """As long as it beats it is left alone."""
    pulse = HeartbeatPipe()
    beating = asyncio.create_task(beat(pulse.number))
    missing = asyncio.create_task(until_still(pulse.heard, seconds=1))
    await asyncio.sleep(2)
    assert not missing.done()

    beating.cancel()
    async with asyncio.timeout(10):
        await missing
    pulse.close()


async def test_a_child_that_has_not_begun_is_not_missed() -> None:
    """How long a start takes is nobody's business here."""
    pulse = HeartbeatPipe()
    missing = asyncio.create_task(until_still(pulse.heard, seconds=1))
    await asyncio.sleep(2)
    assert not missing.done()
    missing.cancel()
    pulse.close()


async def test_nothing_is_missed_when_the_watchdog_is_off() -> None:
    """Zero seconds: a person debugs."""
    pulse = HeartbeatPipe()
    beating = asyncio.create_task(beat(pulse.number))
    missing = asyncio.create_task(until_still(pulse.heard, seconds=0))
    await asyncio.sleep(0.3)
    beating.cancel()
    await asyncio.sleep(1)
    assert not missing.done()
    missing.cancel()
    pulse.close()


async def test_a_pipe_that_nobody_reads_holds_nobody_up() -> None:
    """A full pipe costs the child nothing; it beats on when there is room again."""
    pulse = HeartbeatPipe()
    os.set_blocking(pulse.number, False)
    filled = os.write(pulse.number, bytes(1_000_000))
    assert filled < 1_000_000
    beating = asyncio.create_task(beat(pulse.number))
    await asyncio.sleep(0.3)
    while pulse.heard():
        pass
    await asyncio.sleep(0.3)
    assert pulse.heard()
    beating.cancel()
    pulse.close()


async def test_a_service_is_silent_when_it_hangs_or_refuses() -> None:
    """One answer in between begins the count anew."""
    asked: list[int] = []

    async def answers() -> bool:
        asked.append(len(asked))
        if len(asked) % 2:
            await asyncio.sleep(60)
        return len(asked) == 8

    async with asyncio.timeout(20):
        await until_silent(answers, seconds=1)
    assert len(asked) == 8 + 10
