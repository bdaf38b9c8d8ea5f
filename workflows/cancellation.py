"""
Cancellation that is never lost.
"""

import asyncio

from temporalio import workflow


def heed() -> None:
    """
    Go no further when this workflow was told to stop.

    For the main task after a child's result: a request that came together with it, or that the
    child was too far to follow, raises nothing by itself.

    Raises:
        asyncio.CancelledError: it was.
    """
    if workflow.cancellation_reason() is not None:
        raise asyncio.CancelledError
