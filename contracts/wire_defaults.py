"""Defaults of contract fields that decide something: frozen for ever.

A field that has its default is not written to histories, so these values are part of every recorded
history and never change. The fields say what they mean (`AgentLimits`, `RequestLimits`); what
people tune is `domain.limits`, which is written into messages.
"""

from typing import Final

AGENT_TURNS: Final = 60
AGENT_SECONDS: Final = 7_200
AGENT_BUDGET_MICROUSD: Final = 5_000_000
REPLY_TOKENS: Final = 16_000
LARGEST_REPLY_TOKENS: Final = 64_000
SMALLEST_REPLY_TOKENS: Final = 1_500
FIRST_CONTEXT_TOKENS: Final = 12_000
GROWTH_TOKENS: Final = 8_000
NUDGES: Final = 2
DISCARDED_REPLIES: Final = 2
BAD_CALLS: Final = 5
BAD_REPLIES: Final = 0
FAILED_REPLIES: Final = 0
ROUND_TURNS: Final = 0
WARN_PERCENT: Final = 0
TURNS_A_SIZE: Final = 0
MOST_TURNS: Final = 0
SAME_CALL_WARNING: Final = 3
SAME_CALL_STOP: Final = 5
WINDOW_TOKENS: Final = 0
CYCLE_WARNING: Final = 0
CYCLE_STOP: Final = 0
IDLE_WARNING: Final = 0
IDLE_STOP: Final = 0
STUCK_WINDOWS: Final = 0
WRITE_FACTOR: Final = 1.25

REQUEST_BUDGET_USD: Final = 10.0
ON_LIMIT: Final = "ask"
PARALLEL_TASKS: Final = 4
TEST_SLOTS: Final = 2
APPROVAL_SECONDS: Final = 86_400
CHECK_SECONDS: Final = 1_200
SETUP_SECONDS: Final = 1_800
REWORK_ROUNDS: Final = 2
PERSON_ROUNDS: Final = 0
FORM_ROUNDS: Final = 0
ANSWERS: Final = 0
EVICTIONS: Final = 2
PLANNER_ATTEMPTS: Final = 2
PLANNER_SHARES: Final = 3
TURNS_BESIDE: Final = 0
SMALLEST_ALLOWANCE_MICROUSD: Final = 50_000
GOAL_ROUNDS: Final = 5
GOAL_IDLE_ROUNDS: Final = 1
GOAL_STILL_ROUNDS: Final = 2
STUCK_QUESTIONS: Final = 0
REPLANNED_TASKS: Final = 0
MANY_BAD_SHARE: Final = 0.15
FEW_EXPECTED_BAD: Final = 3
