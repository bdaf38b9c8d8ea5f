"""Room on the disk around every activity: looked for before it begins, named when it runs out.

No reply is paid for that could not be kept, and nothing begins that cannot end.
"""

from pathlib import Path
from typing import Any, Final

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor
from typing_extensions import override

from activities.failures import failed
from contracts.failures import FailureKind
from infra.disk_space import is_disk_full, low_space_reason

_FREEING: Final = frozenset({"release_worktree", "withdraw_delivery", "close_request", "reconcile"})
"""Activities that give room back, or need next to none: they always begin."""


class DiskSpaceInterceptor(Interceptor):
    """Installed on every worker with activities.

    Args:
        folders: what activities write to.
    """

    def __init__(self, *folders: Path) -> None:
        self._folders = folders

    @override
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _WithSpace(super().intercept_activity(next), self._folders)


class _WithSpace(ActivityInboundInterceptor):
    def __init__(self, inner: ActivityInboundInterceptor, folders: tuple[Path, ...]) -> None:
        super().__init__(inner)
        self._folders = folders

    @override
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: ANN401, RUF100
        low = low_space_reason(*self._folders)
        if low and activity.info().activity_type not in _FREEING:
            raise failed(FailureKind.DISK, low)
        try:
            return await self.next.execute_activity(input)
        except ApplicationError as error:
            if error.type != FailureKind.DISK:
                raise
            raise self._full(error.message) from error
        except Exception as error:
            if not is_disk_full(error):
                raise
            raise self._full(str(error)) from error

    def _full(self, message: str) -> ApplicationError:
        """Return the failure, with the disk that is low now."""
        low = low_space_reason(*self._folders)
        return failed(FailureKind.DISK, f"{low} ({message[:1_000]})" if low else message)
