"""Every timeout and retry policy, on one page: one function a port, giving an activity's options.

heartbeat   4 s for what runs long: a killed worker is missed after that long, and the worker
            beats every 0.5 s, so a busy machine is not taken for a dead one
task        3 s for every workflow task: a worker killed inside one is missed after that long
attempts    a few within some seconds, by the server; then the workflow waits visibly and tries
            again (workflows/retrying.py). What ends a call at once is its failure's kind
"""

import datetime as dt

from temporalio.common import RetryPolicy
from temporalio.workflow import ActivityCancellationType, ActivityConfig

from contracts import wire_defaults
from contracts.task_queue import MODEL_TAKEN_WITHIN, TaskQueue, checks_queue, host_queue

RELEASE_TIMEOUT = dt.timedelta(seconds=60)
"""How long a cancelled run waits for what it was taking, so that it can give it back."""

_HEARTBEAT = dt.timedelta(seconds=4)
_LOCAL_RETRY = RetryPolicy(
    initial_interval=dt.timedelta(seconds=0.2),
    maximum_interval=dt.timedelta(seconds=10),
    maximum_attempts=6,
)
_MODEL_RETRY = RetryPolicy(
    initial_interval=dt.timedelta(seconds=1),
    maximum_attempts=3,
)

_MODEL: ActivityConfig = {
    "task_queue": TaskQueue.MODEL,
    "start_to_close_timeout": dt.timedelta(minutes=30),
    "schedule_to_close_timeout": dt.timedelta(hours=6),
    # Nobody takes it where every worker is without a key: the workflow shows that, and goes on.
    "schedule_to_start_timeout": MODEL_TAKEN_WITHIN,
    "heartbeat_timeout": _HEARTBEAT,
    "retry_policy": _MODEL_RETRY,
}
_STORE: ActivityConfig = {
    "task_queue": TaskQueue.GIT,
    "start_to_close_timeout": dt.timedelta(minutes=10),
    "schedule_to_close_timeout": dt.timedelta(hours=24),
    "heartbeat_timeout": _HEARTBEAT,
    "retry_policy": _LOCAL_RETRY,
}
_HOST: ActivityConfig = {
    "start_to_close_timeout": dt.timedelta(minutes=25),
    "schedule_to_close_timeout": dt.timedelta(hours=24),
    "heartbeat_timeout": _HEARTBEAT,
    "retry_policy": _LOCAL_RETRY,
    "cancellation_type": ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
}
_SUMMARY_BYTES = 180


def _summary(text: str) -> str:
    return text.encode()[:_SUMMARY_BYTES].decode("utf-8", "ignore")


def model(summary: str, *, settles: bool = False) -> ActivityConfig:
    """Return the options of a model call: long, soon tried again; what waits does so visibly.

    `settles`: a cancelled caller waits until what came of the reply is booked.
    """
    options: ActivityConfig = {**_MODEL, "summary": _summary(summary)}
    if settles:
        options["cancellation_type"] = ActivityCancellationType.WAIT_CANCELLATION_COMPLETED
    return options


def store(summary: str) -> ActivityConfig:
    """Return the options of work in the store: short, retried until the disk or git recovers."""
    return {**_STORE, "summary": _summary(summary)}


def external_effect(summary: str) -> ActivityConfig:
    """Return the options of what reaches others: a message to another workflow, a branch.

    A cancelled caller waits for its end, so that it is known whether it came too late.
    """
    return {
        **store(summary),
        "cancellation_type": ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    }


def host(host_id: str, summary: str) -> ActivityConfig:
    """Return the options of an agent's tool call on the host that holds its worktree."""
    return {**_HOST, "task_queue": host_queue(host_id), "summary": _summary(summary)}


def setup(host_id: str, summary: str, *, commands: int) -> ActivityConfig:
    """Return the options of a setup, which may have to wait for the same one of another request."""
    limit = dt.timedelta(seconds=2 * commands * (wire_defaults.SETUP_SECONDS + 15) + 600)
    return {
        **_HOST,
        "task_queue": checks_queue(host_id),
        "summary": _summary(summary),
        "start_to_close_timeout": limit,
    }


def checks(host_id: str, summary: str, *, commands: int) -> ActivityConfig:
    """Return the options of a run of checks; the sandbox keeps each command's own limit."""
    limit = dt.timedelta(seconds=commands * (wire_defaults.CHECK_SECONDS + 15) + 120)
    return {
        **_HOST,
        "task_queue": checks_queue(host_id),
        "summary": _summary(summary),
        "start_to_close_timeout": limit,
    }
