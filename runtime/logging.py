"""Logs: one JSON line per event, from our code, libraries and the SDK's Rust core alike.

Workflows use `workflow.logger`, activities `activity.logger`; other code uses structlog. Nothing is
written while a workflow replays.
"""

import logging
import sys
from collections.abc import Callable
from pathlib import Path

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger
from temporalio import activity, workflow

from runtime.log_schema import EXTRA_KEYS
from runtime.redaction import redactor
from runtime.settings import Settings

CORE_LOGGER = "temporal.core"
"""The logger of the SDK's Rust core."""
_MAX_TEXT_LENGTH = 2_000
_MAX_TRACE_LENGTH = 32_000


def configure(settings: Settings, *, file: Path | None = None) -> None:
    """Append every log of this process to a file in an existing folder, else to standard error.

    Safe to repeat: the new configuration replaces the old one.
    """
    handler = logging.FileHandler(file, encoding="utf-8") if file else logging.StreamHandler()
    handler.setFormatter(_formatter(settings, colors=file is None and sys.stderr.isatty()))
    handler.addFilter(lambda _record: not _replaying())
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            _drop_on_replay,
            *_shared_processors(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    for old in root.handlers:
        if old.get_name() == __name__:
            old.close()
    handler.set_name(__name__)
    root.handlers = [handler]
    root.setLevel(settings.log_level.upper())
    _disable_ids_in_messages()


def _formatter(settings: Settings, *, colors: bool) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        # Without _drop_on_replay: a DropEvent raised here would not be caught.
        foreign_pre_chain=_shared_processors(),
        processors=[
            _core_fields,
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            # Redacted before sizes are capped: a secret that is cut would not be recognised.
            _redact(redactor(settings.secrets())),
            _cap_sizes,
            _renderer(settings, colors=colors),
        ],
    )


def _shared_processors() -> list[Processor]:
    """Return the processors of structlog's events and the standard library's records alike."""
    return [
        structlog.contextvars.merge_contextvars,
        _temporal_context,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(allow=EXTRA_KEYS),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
        structlog.processors.format_exc_info,
    ]


def _renderer(settings: Settings, *, colors: bool) -> Processor:
    if settings.log_format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    return structlog.dev.ConsoleRenderer(
        colors=colors, timestamp_key="ts", exception_formatter=structlog.dev.plain_traceback
    )


def _replaying() -> bool:
    return workflow.in_workflow() and workflow.unsafe.is_replaying_history_events()


def _drop_on_replay(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if _replaying():
        raise structlog.DropEvent
    return event


def _temporal_context(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Add the SDK's ids; keys that the event already has stay as they are."""
    if workflow.in_workflow():
        return {**_workflow_ids(), **event, "wf_time": workflow.now().isoformat()}
    if activity.in_activity():
        return {**_activity_ids(), **event}
    return event


def _workflow_ids() -> EventDict:
    info = workflow.info()
    return {
        "workflow_id": info.workflow_id,
        "run_id": info.run_id,
        "workflow_type": info.workflow_type,
        "task_queue": info.task_queue,
        "wf_attempt": info.attempt,
    }


def _activity_ids() -> EventDict:
    info = activity.info()
    return {
        "workflow_id": info.workflow_id,
        "run_id": info.workflow_run_id,
        "activity_id": info.activity_id,
        "activity_type": info.activity_type,
        "attempt": info.attempt,
        "task_queue": info.task_queue,
    }


def _core_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Add the fields of a message of the Rust core, usually the error."""
    core = getattr(event.get("_record"), "temporal_log", None)
    if core is not None and (fields := core.fields):
        event["core_fields"] = str(fields)
    return event


def _redact(clean: Callable[[str], str]) -> Processor:
    def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        return {key: _each_text(value, clean) for key, value in event.items()}

    return redact


def _cap_sizes(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    truncate, truncate_trace = _truncated(_MAX_TEXT_LENGTH), _truncated(_MAX_TRACE_LENGTH)
    return {
        key: _each_text(value, truncate_trace if key == "exception" else truncate)
        for key, value in event.items()
    }


def _each_text(value: object, change: Callable[[str], str]) -> object:
    """Apply a function to every text in a value; other types are converted to text first."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, dict):
        return {str(key): _each_text(inner, change) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_each_text(inner, change) for inner in value]
    return change(str(value))


def _truncated(limit: int) -> Callable[[str], str]:
    def truncate(text: str) -> str:
        over = len(text) - limit
        # The end of a trace holds the error, so the middle is cut.
        half = limit // 2
        return text if over <= 0 else f"{text[:half]} …{over} characters… {text[-half:]}"

    return truncate


def _disable_ids_in_messages() -> None:
    """Stop the SDK's loggers from adding ids to messages: `_temporal_context` adds them as keys."""
    workflow.logger.workflow_info_on_message = False
    workflow.logger.workflow_info_on_extra = False
    activity.logger.activity_info_on_message = False
    activity.logger.activity_info_on_extra = False
