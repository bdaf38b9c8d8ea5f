"""The calls of a key wait for each other, for a bounded time, in the worker."""

import asyncio

import pytest

from contracts.failures import FailureKind
from infra.anthropic.errors import ModelServiceError
from infra.anthropic.pacer import CallPacer


async def slowed(longest: float) -> CallPacer:
    """Return a pacer that lets one call through at a time."""
    pacer = CallPacer(longest=longest)
    with pytest.raises(ModelServiceError):
        async with pacer.call("m"):
            raise ModelServiceError(FailureKind.RATE_LIMITED, "slowly", retry_after_seconds=0)
    assert int(pacer.pace.limit) == 1
    return pacer


async def test_a_call_begins_once_the_one_before_it_has_ended() -> None:
    """It is not sent before, and does not wait for a moment longer."""
    pacer, order = await slowed(3_600), []

    async def calls(name: str) -> None:
        async with pacer.call("m"):
            order.append(f"{name} begins")
            await asyncio.sleep(0.01)
            order.append(f"{name} ends")

    async with asyncio.timeout(60):
        await asyncio.gather(calls("a"), calls("b"))

    assert order in (
        ["a begins", "a ends", "b begins", "b ends"],
        ["b begins", "b ends", "a begins", "a ends"],
    )


async def test_a_call_that_waits_for_long_goes_back_to_its_workflow() -> None:
    """The workflow shows the wait and comes again; meanwhile nothing was sent."""
    pacer = await slowed(0.01)
    async with pacer.call("m"):
        with pytest.raises(ModelServiceError, match="all agents of this key wait") as raised:
            async with pacer.call("m"):
                pytest.fail("it began beside the other one")

    assert raised.value.kind is FailureKind.RATE_LIMITED
    assert raised.value.usage is None
    assert 10 <= (raised.value.retry_after_seconds or 0) <= 11


async def test_a_call_that_is_cancelled_leaves_its_place() -> None:
    """While it waits as while it runs."""
    pacer, held = await slowed(3_600), asyncio.Event()

    async def calls() -> None:
        async with pacer.call("m"):
            held.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(calls())
    await held.wait()
    waiting = asyncio.create_task(calls())
    await asyncio.sleep(0)
    for task in (waiting, running):
        task.cancel()
    await asyncio.gather(waiting, running, return_exceptions=True)

    began = False
    async with asyncio.timeout(60), pacer.call("m"):
        began = True
    assert began
