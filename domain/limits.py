"""Numbers that people tune. They hold for requests that are opened after a change.

Opening a request pins them, and the result is recorded: workflows never read this module.
"""

from contracts.agent import AgentLimits
from contracts.limits import MOST_TASKS, RequestLimits
from domain.planning.plan import PlanRules

REQUEST = RequestLimits(
    rework_rounds=2,
    person_rounds=100,
    form_rounds=3,
    answers=3,
    evictions=2,
    planner_attempts=2,
    planner_shares=3,
    turns_beside=15,
    smallest_allowance_microusd=50_000,
    test_slots=2,
    many_bad_share=0.15,
    few_expected_bad=3,
    approval_seconds=86_400,
    goal_rounds=5,
    goal_idle_rounds=1,
    goal_still_rounds=2,
    replanned_tasks=6,
    stuck_questions=3,
)
AGENT = AgentLimits(
    bad_replies=5,
    failed_replies=12,
    round_turns=20,
    warn_percent=80,
    turns_a_size=3,
    most_turns=300,
    window_tokens=110_000,
    cycle_warning=2,
    cycle_stop=6,
    idle_warning=15,
    idle_stop=30,
    stuck_windows=1,
)
"""Those that a role's file does not set."""
PLAN = PlanRules(tasks=MOST_TASKS, patterns=32, commands=12, command_chars=4_000, order_only=True)
ESTIMATED_BY = 40
"""A plan's cost is estimated by so many past tasks of its repository, the newest."""
BLOCKING_PRIORITY = 1
"""Findings of a review up to this priority block."""
