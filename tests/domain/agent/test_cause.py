"""Which sentence of a failure a person reads."""

from temporalio import exceptions
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutType

from domain.agent.messages import cause


def _framed(error: BaseException) -> ActivityError:
    frame = ActivityError(
        "Activity task failed",
        scheduled_event_id=5,
        started_event_id=6,
        identity="",
        activity_type="open_repository",
        activity_id="1",
        retry_state=None,
    )
    frame.__cause__ = error
    return frame


def test_a_person_reads_the_refusal_and_not_what_it_was_made_of() -> None:
    """An error that was raised in our own words is told as it stands, its technical
    cause is not.
    """
    refusal = ApplicationError("the branch 'x' is taken: name another", type="Refused")
    refusal.__cause__ = ApplicationError("refs/oc/claim/x is at 1, expected None")
    assert cause(_framed(refusal)) == "the branch 'x' is taken: name another"


def test_behind_frames_and_time_limits_the_last_error_is_told() -> None:
    """Temporal's own frames say only where; what an attempt last failed of says why."""
    late = exceptions.TimeoutError(
        "activity ScheduleToClose timeout",
        type=TimeoutType.SCHEDULE_TO_CLOSE,
        last_heartbeat_details=[],
    )
    assert cause(_framed(late)) == "activity ScheduleToClose timeout"
    late.__cause__ = ApplicationError("the disk is full")
    assert cause(_framed(late)) == "the disk is full"
