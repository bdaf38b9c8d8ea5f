"""What a kind of failure means: each is decided, and nobody waits for what time cannot mend."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.failures import FailureKind
from contracts.visibility import RunState
from domain import failures

KINDS = st.sampled_from(FailureKind)


@pytest.mark.parametrize("kind", FailureKind)
def test_what_is_waited_for_is_shown_as_waiting(kind: FailureKind) -> None:
    """A run that waits never stands as failed, one that gives up never as waiting for nothing."""
    if failures.waited_for(kind):
        assert failures.waiting_state(kind) is not RunState.FAILED


@pytest.mark.parametrize(
    "kind",
    [
        FailureKind.REFUSED,
        FailureKind.MODEL_REQUEST,
        FailureKind.CONTEXT_FULL,
        FailureKind.FENCED,
        FailureKind.BUG,
    ],
)
def test_what_time_does_not_mend_is_not_waited_for(kind: FailureKind) -> None:
    """Trying again would end the same way, for ever."""
    assert failures.pause_seconds(kind.value, 0) is None
    assert failures.waiting_state(kind) is RunState.FAILED


@given(KINDS, st.integers(0, 1_999))
def test_pauses_grow_to_a_minute_and_stay_there(kind: FailureKind, tries: int) -> None:
    """A run looks again soon at first, later once a minute."""
    pause, following = (failures.pause_seconds(kind.value, n) for n in (tries, tries + 1))
    if pause is not None:
        assert 1 <= pause <= 60
        assert following is None or following >= pause


@given(KINDS)
def test_nobody_waits_without_end(kind: FailureKind) -> None:
    """After some thousand tries, more than a day, the failure stands."""
    assert failures.pause_seconds(kind.value, 2_000) is None


@given(st.text() | st.none())
def test_a_kind_that_nobody_knows_is_given_up(kind: str | None) -> None:
    """Whatever stands in a history from elsewhere is no reason to wait for ever."""
    if kind not in {member.value for member in FailureKind}:
        assert failures.pause_seconds(kind, 0) is None
        assert not failures.lease_lost(kind)
        assert failures.state_of(kind) is RunState.WAITING_INFRA


def test_only_a_lost_lease_is_mended_by_another_worktree() -> None:
    """A worktree that is in use, or a full disk, would be no better elsewhere."""
    mended = [kind for kind in FailureKind if failures.lease_lost(kind.value)]
    assert mended == [FailureKind.FENCED]
