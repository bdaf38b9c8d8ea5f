"""Limits that are pinned when a request is opened and hold until its end."""

from typing import Final

from contracts import wire_defaults
from contracts.base import Contract

MOST_TASKS: Final = 64
"""The tasks that a plan may hold, and that may run at once."""
MOST_PATHS: Final = 200
"""The paths of a patch or a conflict that a message names; the others are counted."""


class RequestLimits(Contract):
    """The numbers that the workflows of a request go by.

    Attributes:
        rework_rounds: how often a task goes back for checks, review or an unusable patch.
        person_rounds: how often a person may send it back beyond that; 0 = it counts as rework.
        form_rounds: how often it goes back for an unusable patch without using up rework; 0 = such
            a patch counts as rework.
        answers: how often it goes back with the answer to what its agent needs.
        evictions: how often it goes back because the merge queue did not take it.
        planner_attempts: plans that the planner may hand in before the single task is taken.
        planner_shares: the planner may spend one of so many shares of the budget.
        turns_beside: what a task costs beside its size, in turns, as its reviews: money is shared
            by both; 0 = evenly, whatever the sizes.
        smallest_allowance_microusd: a task with less money is not started.
        test_slots: prefixes that the merge queue tests at once.
        many_bad_share: with a larger share of bad patches the queue tests plain windows.
        few_expected_bad: up to so many expected bad patches the whole queue is one window.
        approval_seconds: an approval that is not answered for this long is denied.
        goal_rounds: of a request with a goal that names no number of rounds.
        goal_idle_rounds: so many rounds in a row that change no file, and it goes on with none.
        goal_still_rounds: so many in a row after which no less of the goal's command fails.
        replanned_tasks: most tasks that the planner may put in place of one whose agent is stuck,
            once; 0 = it is not asked.
        stuck_questions: how often a person is asked about the stuck agents of one task; 0 = never.
    """

    rework_rounds: int = wire_defaults.REWORK_ROUNDS
    person_rounds: int = wire_defaults.PERSON_ROUNDS
    form_rounds: int = wire_defaults.FORM_ROUNDS
    answers: int = wire_defaults.ANSWERS
    evictions: int = wire_defaults.EVICTIONS
    planner_attempts: int = wire_defaults.PLANNER_ATTEMPTS
    planner_shares: int = wire_defaults.PLANNER_SHARES
    turns_beside: int = wire_defaults.TURNS_BESIDE
    smallest_allowance_microusd: int = wire_defaults.SMALLEST_ALLOWANCE_MICROUSD
    test_slots: int = wire_defaults.TEST_SLOTS
    many_bad_share: float = wire_defaults.MANY_BAD_SHARE
    few_expected_bad: int = wire_defaults.FEW_EXPECTED_BAD
    approval_seconds: int = wire_defaults.APPROVAL_SECONDS
    goal_rounds: int = wire_defaults.GOAL_ROUNDS
    goal_idle_rounds: int = wire_defaults.GOAL_IDLE_ROUNDS
    goal_still_rounds: int = wire_defaults.GOAL_STILL_ROUNDS
    replanned_tasks: int = wire_defaults.REPLANNED_TASKS
    stuck_questions: int = wire_defaults.STUCK_QUESTIONS
