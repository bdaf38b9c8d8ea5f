"""Show whether server and worker run, what is open, and how long they go on.

Starts nothing.

Examples:
  starter.py service status
  starter.py service status --json

Keys of --json: running, background, pid, since (seconds since 1970), version,
address, ui_url, worker_ready, open (ids; null when unknown), ends_at (seconds
since 1970; null while it is needed), home, logs.
"""

import json
import time
from collections.abc import Iterator, Sequence

from cli import hints
from cli.client import RequestSummary
from cli.client.connection import open_requests
from cli.exit_codes import ExitCode
from cli.formatting import name, span
from cli.parameters import AsJson, Context
from cli.wrapping import labelled
from runtime.records import SupervisorRecord
from runtime.settings import Settings, load
from runtime.version import ROOT, code_version
from runtime.worker_settings import compare_with_worker


async def command(*, as_json: AsJson = False, context: Context) -> ExitCode:
    """Show the service of this home."""
    settings = load(context.environ)
    record = SupervisorRecord.running(settings)
    left = await open_requests(settings, record.address if record else settings.temporal_address)
    if as_json:
        context.print_out(json.dumps(document(settings, record, left), indent=2))
    elif record is None:
        start = hints.start_command(context.program)
        context.print_prose(f"Nothing runs on {settings.home}; start it with: {start}")
    else:
        rows = _rows(settings, record, left, now=context.now())
        where = "in the background" if record.background else "in the foreground (`up`)"
        context.print_prose(f"OrchestCode runs {where} on {settings.home}.")
        width = context.columns()
        for label, text in rows:
            context.print_out(*labelled(f"  {label:<9} ", text, width))
    return ExitCode.DELIVERED


def document(
    settings: Settings, record: SupervisorRecord | None, left: Sequence[RequestSummary] | None
) -> dict[str, object]:
    """Return what `--json` prints."""
    known = ("background", "pid", "since", "version", "address", "ui_url", "worker_ready")
    return {
        "running": record is not None,
        **{key: getattr(record, key, None) for key in known},
        "open": None if left is None else [request.id for request in left],
        "ends_at": record.ends_at if record else None,
        "home": str(settings.home),
        "logs": str(settings.logs),
    }


def _rows(
    settings: Settings,
    record: SupervisorRecord,
    left: Sequence[RequestSummary] | None,
    *,
    now: float,
) -> Iterator[tuple[str, str]]:
    yield "process", f"{record.pid}, since {_clock(record.since)} ({span(now - record.since)})"
    current = code_version(ROOT)
    other = f"; this command is {current}: `stop`, then start it again" * (
        current != record.version
    )
    yield "code", f"{record.version}{other}"
    server = "" if record.server_ready else " (not ready)"
    yield "Temporal", f"{record.address}{server}"
    if record.ui_url:
        yield "web UI", record.ui_url
    yield "worker", _worker(record)
    if difference := compare_with_worker(settings):
        ignored = ", ".join(difference.ignored)
        yield (
            "settings",
            f"not those of this shell: {ignored}" if ignored else "those of this shell",
        )
    yield "open", _open(left)
    yield "lives", _lives(record)
    yield "logs", str(settings.logs)


def _worker(record: SupervisorRecord) -> str:
    if not record.with_worker:
        return "none: a command only looks"
    return f"process {record.worker_pid}" if record.worker_ready else "starting"


def _open(left: Sequence[RequestSummary] | None) -> str:
    if left is None:
        return "unknown: the Temporal server does not answer"
    named = (f"{name(hints.short_id(request.id))} ({request.state})" for request in left)
    return ", ".join(named) or "nothing"


def _lives(record: SupervisorRecord) -> str:
    if not record.background:
        return "until its terminal ends it, or `stop`"
    if not record.with_worker:
        return "as long as a command looks"
    if record.ends_at is not None:
        return f"until {_clock(record.ends_at)}, or as long as something is open"
    return f"until nothing is open, and {span(record.idle_seconds)} longer"


def _clock(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
