"""Heartbeats and probes: a process is missed only after it has sent a heartbeat and stops."""

import asyncio
import os

import pytest

from runtime.services import watchdog
from runtime.services.watchdog import (
    HeartbeatPipe,
    send_heartbeats,
    wait_for_failed_probes,
    wait_for_missed_heartbeats,
)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heartbeats ten times and probes fifty times as often."""
    monkeypatch.setattr(watchdog, "HEARTBEAT_SECONDS", 0.1)
    monkeypatch.setattr(watchdog, "_PROBE_SECONDS", 0.1)


async def test_a_child_whose_heartbeats_stop_is_missed() -> None:
    """It is not missed while it sends them."""
    pipe = HeartbeatPipe()
    heartbeats = asyncio.create_task(send_heartbeats(pipe.child_fd))
    missing = asyncio.create_task(wait_for_missed_heartbeats(pipe.received, seconds=3))
    await asyncio.sleep(3.5)
    assert not missing.done()

    heartbeats.cancel()
    async with asyncio.timeout(60):
        await missing
    pipe.close()


async def test_a_child_without_a_first_heartbeat_is_not_missed() -> None:
    """A start may take longer than the watchdog's time."""
    pipe = HeartbeatPipe()
    missing = asyncio.create_task(wait_for_missed_heartbeats(pipe.received, seconds=1))
    await asyncio.sleep(2)
    assert not missing.done()
    missing.cancel()
    pipe.close()


async def test_nothing_is_missed_when_the_watchdog_is_off() -> None:
    """Zero seconds switch it off, for a person who debugs."""
    pipe = HeartbeatPipe()
    heartbeats = asyncio.create_task(send_heartbeats(pipe.child_fd))
    missing = asyncio.create_task(wait_for_missed_heartbeats(pipe.received, seconds=0))
    await asyncio.sleep(0.3)
    heartbeats.cancel()
    await asyncio.sleep(1)
    assert not missing.done()
    missing.cancel()
    pipe.close()


async def test_a_full_pipe_does_not_block_the_child() -> None:
    """It sends heartbeats again once the parent has read the pipe."""
    pipe = HeartbeatPipe()
    os.set_blocking(pipe.child_fd, False)
    filled = os.write(pipe.child_fd, bytes(1_000_000))
    assert filled < 1_000_000
    heartbeats = asyncio.create_task(send_heartbeats(pipe.child_fd))
    await asyncio.sleep(0.3)
    while pipe.received():
        pass
    async with asyncio.timeout(60):
        while not pipe.received():
            await asyncio.sleep(0.05)
    heartbeats.cancel()
    pipe.close()


async def test_a_service_that_hangs_or_refuses_fails_its_probes() -> None:
    """One healthy answer resets the count."""
    probes: list[int] = []

    async def probe() -> bool:
        probes.append(len(probes))
        if len(probes) % 2:
            await asyncio.sleep(60)
        return len(probes) == 8

    async with asyncio.timeout(60):
        await wait_for_failed_probes(probe, seconds=1)
    assert len(probes) == 8 + 10
