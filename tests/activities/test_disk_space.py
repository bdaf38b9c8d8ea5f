"""Room on the disk around every activity: looked for first, and told as what it is when it runs
out.

`/proc` stands for a full disk: it never has room.
"""

import errno
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput
from typing_extensions import override

from activities.disk_space import DiskSpaceInterceptor
from activities.failures import failed
from contracts.failures import FailureKind
from infra.disk_space import free_bytes, is_disk_full, low_space_reason
from infra.git.command import GitError
from infra.store import StoreError
from infra.store.git_processes import ChildDiedError

FULL = Path("/proc")
SAYS = "the disk of /proc is full: 0 MB are free, at least 50 MB are needed"
NO_SPACE = "fatal: write error: No space left on device"


class _Acts(ActivityInboundInterceptor):
    """Stands for an activity: counts its runs and ends as told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.runs = 0
        self._error = error

    @override
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        self.runs += 1
        if self._error:
            raise self._error
        return "done"


async def _run(acts: _Acts, *places: Path, kind: str = "apply_edit") -> object:
    around = DiskSpaceInterceptor(*places).intercept_activity(acts)
    environment = ActivityEnvironment()
    environment.info = replace(environment.info, activity_type=kind)
    asked = ExecuteActivityInput(fn=print, args=(), executor=None, headers={})
    return await environment.run(around.execute_activity, asked)


def _caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "full"),
    [
        pytest.param(OSError(errno.ENOSPC, "full"), True, id="the-system"),
        pytest.param(OSError(errno.EDQUOT, "quota"), True, id="a-quota"),
        pytest.param(OSError(errno.EACCES, "denied"), False, id="another-error"),
        pytest.param(GitError(["add"], 128, NO_SPACE), True, id="git"),
        pytest.param(GitError(["commit", "-m", NO_SPACE], 1, "no"), False, id="only-its-words"),
        pytest.param(ChildDiedError(NO_SPACE), True, id="a-child-of-the-store"),
        pytest.param(StoreError(f"references could not be moved: {NO_SPACE}"), True, id="store"),
        pytest.param(
            _caused(StoreError("an object"), OSError(errno.ENOSPC, "full")), True, id="its-cause"
        ),
        pytest.param(
            _caused(StoreError(NO_SPACE), GitError(["x"], 1, "no")), False, id="the-cause-decides"
        ),
    ],
)
def test_a_full_disk_is_told_from_every_other_error(error: Exception, *, full: bool) -> None:
    """The system's, git's and the store's words for it count; words that git was given do not."""
    assert is_disk_full(error) is full


def test_a_shortage_names_the_folder_and_how_much_is_needed(tmp_path: Path) -> None:
    """The first folder without room is named; one that is not there counts as no shortage."""
    assert low_space_reason(tmp_path) is None
    assert low_space_reason(tmp_path, FULL) == SAYS
    assert low_space_reason(tmp_path / "none") is None
    assert free_bytes(tmp_path / "none") is None


async def test_nothing_begins_without_room_but_what_gives_room_back(tmp_path: Path) -> None:
    """Without room an activity does not run, and fails as DISK; one that gives room back, or ends
    what holds something, does run.
    """
    acts = _Acts()
    with pytest.raises(ApplicationError, match=SAYS) as failure:
        await _run(acts, tmp_path, FULL)
    assert failure.value.type == FailureKind.DISK
    assert failure.value.non_retryable
    assert acts.runs == 0
    for kind in ("release_worktree", "withdraw_delivery", "close_request", "reconcile"):
        assert await _run(acts, FULL, kind=kind) == "done"
    assert await _run(acts, tmp_path) == "done"


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(OSError(errno.ENOSPC, "full"), id="unclassed"),
        pytest.param(failed(FailureKind.DISK, "no room left on the disk"), id="classed"),
    ],
)
async def test_room_that_ran_out_meanwhile_is_told_with_where_it_is_short(error: Exception) -> None:
    """An error for want of room is DISK whoever raised it, and names the full folder."""
    with pytest.raises(ApplicationError, match=SAYS) as failure:
        await _run(_Acts(error), FULL, kind="release_worktree")
    assert failure.value.type == FailureKind.DISK


async def test_other_errors_pass_unchanged(tmp_path: Path) -> None:
    """What is no matter of room is left to those who know it."""
    wrong = ValueError("wrong")
    with pytest.raises(ValueError, match="wrong"):
        await _run(_Acts(wrong), tmp_path)
    store = failed(FailureKind.STORE, "locked")
    with pytest.raises(ApplicationError, match="locked") as failure:
        await _run(_Acts(store), tmp_path)
    assert failure.value is store
