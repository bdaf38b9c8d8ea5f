"""Cancellation that is never lost."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from workflows import activity_options

Result = TypeVar("Result")


def raise_if_cancelled() -> None:
    """Stop here when the workflow is cancelled.

    For the main task after a result that it waited for all the same (a child's, a lease, a
    command): such a result hides the cancellation.
    """
    if workflow.cancellation_reason() is not None:
        raise asyncio.CancelledError


async def complete_despite_cancel(work: Coroutine[Any, Any, Result]) -> Result:
    """Wait for work whose result must be released later, even if the workflow is cancelled.

    After 60 s the work itself is cancelled, and its end is waited for. An activity whose effect
    must be known even then takes `activity_options.external_effect`. The caller stores what it has
    to release, then calls `raise_if_cancelled`.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        try:
            await workflow.wait_condition(task.done, timeout=activity_options.RELEASE_TIMEOUT)
        except TimeoutError:
            task.cancel()
            await workflow.wait_condition(task.done)
        return task.result()


async def run_to_completion(work: Coroutine[Any, Any, None]) -> None:
    """Do work to its end, even if the workflow is cancelled meanwhile; that is raised after it."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        # A shield keeps the work alive, but no task would wait for it.
        await workflow.wait_condition(task.done)
        task.result()
        raise
