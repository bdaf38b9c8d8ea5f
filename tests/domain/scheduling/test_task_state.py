"""A task's states: the table of moves, and that everything else is refused."""

import itertools

import pytest

from contracts.task import TaskState as S
from domain.scheduling.task_state import move, terminal

OPEN = (S.PENDING, S.RUNNING, S.BLOCKED, S.REVIEW)
MOVES = {
    (S.PENDING, S.RUNNING),
    (S.RUNNING, S.BLOCKED),
    (S.RUNNING, S.REVIEW),
    (S.RUNNING, S.DONE),
    (S.RUNNING, S.FAILED),
    (S.BLOCKED, S.RUNNING),
    (S.REVIEW, S.DONE),
    (S.REVIEW, S.RUNNING),
    (S.FAILED, S.PENDING),
    *((state, S.CANCELLED) for state in OPEN),
}


@pytest.mark.parametrize(("present", "to"), list(itertools.permutations(S, 2)))
def test_only_the_moves_of_the_table_are_possible(present: S, to: S) -> None:
    """A move is returned or refused with what would be possible."""
    if (present, to) in MOVES:
        assert move(present, to) is to
    else:
        with pytest.raises(ValueError, match=f"{present} cannot become {to}"):
            move(present, to)


@pytest.mark.parametrize("state", S)
def test_to_stay_is_no_move(state: S) -> None:
    """The same state told twice is not an error."""
    assert move(state, state) is state


def test_what_is_over_is_over() -> None:
    """Done, failed and cancelled are ends."""
    assert [state for state in S if terminal(state)] == [S.DONE, S.FAILED, S.CANCELLED]
