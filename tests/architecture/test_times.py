"""The page of times tells those that the code has."""

import re
from pathlib import Path

import pytest

import worker
from contracts.task_queue import WORKFLOW_TASK_TIMEOUT
from infra import locks
from infra.store import refs
from infra.worktrees import pool
from runtime import interceptors, settings
from runtime.services import backoff, embedded_server, reconcile_schedule
from workflows import activity_options

ROOT = Path(__file__).parents[2]


def _told(what: str) -> str:
    page = (ROOT / "docs" / "durability.md").read_text()
    row = re.search(rf"^\| {re.escape(what)} \| ([^|]+) \|", page, re.MULTILINE)
    assert row is not None, what
    return row[1]


def _shown(*seconds: float) -> str:
    return ", ".join(f"{each:g}" for each in seconds)


@pytest.mark.parametrize(
    ("what", "is_so"),
    [
        ("heartbeat of an activity", _shown(interceptors.HEARTBEAT_SECONDS)),
        (
            "heartbeat time-out",
            _shown(activity_options.host("h", "s")["heartbeat_timeout"].total_seconds()),  # type: ignore[union-attr]
        ),
        ("workflow task time-out", _shown(WORKFLOW_TASK_TIMEOUT.total_seconds())),
        ("sticky queue", _shown(worker.STICKY.total_seconds())),
        (
            "pings to a worker, and their time-out",
            ", ".join(
                embedded_server.DYNAMIC_CONFIG[f"frontend.keepAlive{name}"]
                .strip('"')
                .removesuffix("s")
                for name in ("Time", "Timeout")
            ),
        ),
        ("looks at a lock's holder", _shown(locks.LOOK_SECONDS)),
        ("wait for a worktree", _shown(pool.WAIT_SECONDS)),
        ("a reference's leftover lock file", _shown(refs.REF_LOCK_SECONDS)),
        ("back-off of the supervisor", f"{backoff.FIRST_SECONDS} to {backoff.LONGEST_SECONDS:g}"),
        ("watchdog", _shown(settings.WATCHDOG_SECONDS)),
        ("grace of an orderly stop", _shown(settings.GRACE_SECONDS)),
        ("grace of a reply that is coming", _shown(settings.REPLY_GRACE_SECONDS)),
        ("reconciler", f"{_shown(reconcile_schedule.INTERVAL.total_seconds())}, and at each start"),
    ],
)
def test_a_time_that_is_told_is_the_one_that_is_kept(what: str, is_so: str) -> None:
    """Whoever changes a time says so, with its reason, in docs/durability.md."""
    assert _told(what) == is_so
