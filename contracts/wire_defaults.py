"""Defaults of contract fields that decide something: frozen for ever.

A field that has its default is not written to histories, so these values are part of every recorded
history and never change. What people tune is `domain.limits`: it is written into messages.
"""

from typing import Final

AGENT_TURNS: Final = 60
AGENT_SECONDS: Final = 7_200
AGENT_BUDGET_MICROUSD: Final = 5_000_000
REPLY_TOKENS: Final = 16_000
"""Output tokens of one reply."""
LARGEST_REPLY_TOKENS: Final = 64_000
"""Output tokens of a reply that is asked for again because it was cut."""
SMALLEST_REPLY_TOKENS: Final = 1_500
"""Output tokens below which a reply is not worth its context."""
FIRST_CONTEXT_TOKENS: Final = 12_000
"""What an unread opening may come to."""
GROWTH_TOKENS: Final = 8_000
"""What the results of one turn may add to the context."""
NUDGES: Final = 2
"""Reminders in a row of an agent that replies without a tool call."""
DISCARDED_REPLIES: Final = 2
"""Repeats of a turn whose reply was cut."""
BAD_CALLS: Final = 5
"""Tool calls in a row that could not be run."""
SAME_CALL_WARNING: Final = 3
SAME_CALL_STOP: Final = 5
"""The same call with the same outcome, in a row."""

REQUEST_BUDGET_USD: Final = 10.0
PARALLEL_TASKS: Final = 4
TEST_SLOTS: Final = 2
"""Prefixes that the merge queue tests at once."""
APPROVAL_SECONDS: Final = 86_400
"""An approval that is not answered for this long is denied."""
CHECK_SECONDS: Final = 1_200
"""Time limit of one check command."""
REWORK_ROUNDS: Final = 2
EVICTIONS: Final = 2
PLANNER_ATTEMPTS: Final = 2
PLANNER_SHARES: Final = 3
"""The planner may spend one of so many shares of the budget."""
SMALLEST_ALLOWANCE_MICROUSD: Final = 50_000
"""Money below which a task is not started."""
PLAN_TASKS: Final = 24
MANY_BAD_SHARE: Final = 0.15
FEW_EXPECTED_BAD: Final = 3
