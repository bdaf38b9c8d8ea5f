"""Cancellation that is never lost."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows import activity_options

Result = TypeVar("Result")


def raise_if_cancelled() -> None:
    """
    Go no further when this workflow was told to stop.

    For the main task after a result that is waited for even then (a child's, a lease, a command):
    by itself it hides the request.

    Raises:
        asyncio.CancelledError: it was.
    """
    if workflow.cancellation_reason() is not None:
        raise asyncio.CancelledError


async def complete_despite_cancel(work: Coroutine[Any, Any, Result]) -> Result:
    """
    Return what has to be given back, or can no longer be, also when this workflow is told to stop.

    After a minute the work is told so, too. Where it must be known whether it came too late, its
    activities are to be waited for even then (`calls.outward`). The caller keeps what has to be
    given back where it will be, then calls `raise_if_cancelled`.

    Raises:
        asyncio.CancelledError, ActivityError: told to stop, and it ended without a result.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        try:
            await workflow.wait_condition(task.done, timeout=activity_options.TAKING_PATIENCE)
        except TimeoutError:
            task.cancel()
            await workflow.wait_condition(task.done)
        return task.result()


async def run_to_completion(work: Coroutine[Any, Any, None]) -> None:
    """
    Do what must not be left half done, to its end, even when this workflow is told to stop.

    Raises:
        asyncio.CancelledError: afterwards, when it was told to stop.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        # A shield keeps the work alive, but no task would wait for it.
        await workflow.wait_condition(task.done)
        task.result()
        raise
