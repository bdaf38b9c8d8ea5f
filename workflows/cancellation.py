"""
Cancellation that is never lost.
"""

import asyncio

from temporalio import workflow


def heed() -> None:
    """
    Go no further when this workflow was told to stop.

    For the main task after a result that is waited for even then (a child's, a lease): by itself
    it hides the request.

    Raises:
        asyncio.CancelledError: it was.
    """
    if workflow.cancellation_reason() is not None:
        raise asyncio.CancelledError
