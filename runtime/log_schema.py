"""
The keys that a log line may carry. A key that is not here is dropped from `extra=`.

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
AGENT = frozenset(
    {"request_id", "task_ref", "agent", "role", "lane", "turn", "tool", "model", "host_id"}
)
AMOUNTS = frozenset(
    {
        "tokens_in",
        "tokens_out",
        "tokens_cached",
        "cost_usd",
        "duration_ms",
        "bytes",
        "count",
        "sha256",
        "object_id",
        "checkpoint",
    }
)
FAILURE = frozenset(
    {"error_class", "error_code", "retry_class", "next_retry_s", "reason", "state", "exception"}
)
PROCESS = frozenset({"pid", "address", "ui_url", "core_fields"})
TRACE = frozenset({"trace_id", "span_id"})

EXTRA_KEYS = (AGENT | AMOUNTS | FAILURE | PROCESS | TRACE) - {"exception", "core_fields"}
"""What a caller may pass as `extra=`."""
LINE_KEYS = ALWAYS | WHERE | AGENT | AMOUNTS | FAILURE | PROCESS | TRACE
"""What a line may hold."""
