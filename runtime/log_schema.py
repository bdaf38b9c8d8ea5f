"""
The keys that a log line may carry. A key that is not here is dropped from `extra=`.

A key comes with its first caller: tests/architecture/test_log_keys.py fails on a key that is not
listed, and on a listed key that no call passes.

An `extra=` key that names a field of the standard library's record (`name`, `args`, `module` …)
raises, in workflow code for ever; hence a fixed list, checked by a test.
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
"""Set by the logging itself from what Temporal knows; never by a caller."""
AGENT = frozenset({"turn", "model", "host_id"})
AMOUNTS = frozenset({"tokens_in", "tokens_out", "tokens_cached", "cost_usd", "duration_ms"})
EFFECT = frozenset({"command", "outcome", "passed", "commit", "patch", "signal", "receiver"})
"""What was done, to what: `receiver` is the workflow that a signal was meant for."""
FAILURE = frozenset({"error_class", "reason"})
PROCESS = frozenset({"pid", "sandbox"})

EXTRA_KEYS = AGENT | AMOUNTS | EFFECT | FAILURE | PROCESS
"""What a caller may pass, as `extra=` or as a keyword of structlog."""
ADDED_KEYS = frozenset({"exception", "core_fields"})
"""Added by the logging itself: a traceback, and what the SDK's core says beside its message."""
LINE_KEYS = ALWAYS | WHERE | EXTRA_KEYS | ADDED_KEYS
"""What a line may hold."""
