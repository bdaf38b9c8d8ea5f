"""The keys that a log line may carry. A key that is not here is dropped from `extra=`.

tests/architecture/test_log_keys.py fails on a key that is not listed here, and on a listed key that
no call passes.

An `extra=` key that names a field of the standard library's record (`name`, `args`, `module` …)
raises, in workflow code again on every replay; hence a fixed list, checked by a test.
"""

ALWAYS = frozenset({"ts", "level", "logger", "event"})
"""In every line: time (ISO, UTC), level, logger, a dotted verb."""
WHERE = frozenset(
    {
        "workflow_id",
        "run_id",
        "workflow_type",
        "task_queue",
        "wf_attempt",
        "wf_time",
        "activity_id",
        "activity_type",
        "attempt",
    }
)
"""Set by the logging itself from Temporal's context; never by a caller."""
AGENT = frozenset({"turn", "model", "host_id", "cache_miss"})
AMOUNTS = frozenset(
    {"tokens_in", "tokens_out", "tokens_cached", "tokens_missed", "cost_usd", "duration_ms"}
)
EFFECT = frozenset({"command", "outcome", "passed", "commit", "patch", "signal", "receiver"})
"""What was done, and to what; `receiver` is the workflow that a signal was sent to."""
FAILURE = frozenset({"error_class", "reason"})
PROCESS = frozenset({"pid", "sandbox"})

EXTRA_KEYS = AGENT | AMOUNTS | EFFECT | FAILURE | PROCESS
"""What a caller may pass, as `extra=` or as a keyword of structlog."""
ADDED_KEYS = frozenset({"exception", "core_fields"})
"""Added by the logging itself: a traceback, and the fields of a message of the SDK's core."""
LINE_KEYS = ALWAYS | WHERE | EXTRA_KEYS | ADDED_KEYS
"""All keys that a line may hold."""
