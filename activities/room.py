"""
Room on the disk: looked for before an activity begins, told as what it is when it runs out.

It stands around every activity, so that no reply is paid for that could not be kept and nothing
begins that cannot end. It does not know what an activity writes.
"""

import errno
import os
from pathlib import Path
from typing import Any, Final

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor
from typing_extensions import override

from activities.failures import failed
from activities.git_command import GitError
from activities.store import StoreError
from activities.store.process import ChildDiedError
from activities.worktree.files import says_disk_full
from contracts.failure import FailureKind

LEAST_BYTES: Final = 50_000_000
"""Nothing begins with less room; what is left is for the work at hand, the database and the logs.
"""

_FREEING: Final = frozenset({"release_worktree", "withdraw_delivery", "close_request", "reconcile"})
"""Activities that give room back, or need next to none: they always begin."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def free_bytes(folder: Path) -> int | None:
    """Return the room that is left where a folder lies, None when nobody can tell."""
    try:
        state = os.statvfs(folder)
    except OSError:
        return None
    return state.f_bavail * state.f_frsize


def shortage(*places: Path) -> str | None:
    """
    Return which folder lies on a disk without enough room, and how much is needed; None = none.
    """
    for place in places:
        free = free_bytes(place)
        if free is not None and free < LEAST_BYTES:
            return (
                f"the disk of {place} is full: {free // 1_000_000} MB are free, at least "
                f"{LEAST_BYTES // 1_000_000} MB are needed"
            )
    return None


def no_room(error: BaseException) -> bool:
    """Say whether an error, or what caused it, is a disk without room."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return True
        if says_disk_full(_said(cause)):
            return True
        cause = cause.__cause__
    return False


def _said(error: BaseException) -> str:
    """Return what git said, without the words that it was given; "" for other errors."""
    if isinstance(error, GitError | ChildDiedError):
        return error.stderr
    return str(error) if isinstance(error, StoreError) and error.__cause__ is None else ""


class RoomInterceptor(Interceptor):
    """
    Installed on every worker with activities.

    Args:
        places: folders that activities write to.
    """

    def __init__(self, *places: Path) -> None:
        self._places = places

    @override
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _WithRoom(super().intercept_activity(next), self._places)


class _WithRoom(ActivityInboundInterceptor):
    def __init__(self, inner: ActivityInboundInterceptor, places: tuple[Path, ...]) -> None:
        super().__init__(inner)
        self._places = places

    @override
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: ANN401, RUF100
        short = shortage(*self._places)
        if short and activity.info().activity_type not in _FREEING:
            raise failed(FailureKind.DISK, short)
        try:
            return await self.next.execute_activity(input)
        except ApplicationError as error:
            if error.type != FailureKind.DISK:
                raise
            raise self._full(error.message) from error
        except Exception as error:
            if not no_room(error):
                raise
            raise self._full(str(error)) from error

    def _full(self, said: str) -> ApplicationError:
        """Return the failure, with where the room is short now."""
        short = shortage(*self._places)
        return failed(FailureKind.DISK, f"{short} ({said[:1_000]})" if short else said)
