"""`list` and `list --all` of the embedded server, through the interface of its web UI."""

from collections.abc import Sequence

from cli import request_rows
from cli.command_words import command_line
from cli.context import CliContext
from cli.disk_budget import budget_lines
from cli.exit_codes import ExitCode
from cli.quick.web_lists import ListedRequest, WebListError, count_requests, list_requests
from cli.request_rows import SHOWN, RequestRow
from cli.worker_hint import missing_worker
from runtime.records import ServerRecord, SupervisorRecord
from runtime.settings import Settings, load

_MOST = 1_000


def command(words: Sequence[str], context: CliContext) -> ExitCode | None:
    """Print the table; None where no web UI of ours runs, or a cost is known to others alone."""
    if list(words) not in ([], ["--all"]):
        return None
    settings = load(context.environ)
    if _never_used(settings):
        context.print_out(*request_rows.table([], now=context.now()))
        return ExitCode.DELIVERED
    port = _web_port(settings)
    if port is None:
        return None
    most = _MOST if words else SHOWN
    try:
        found = list_requests(port, settings.temporal_namespace, most)
        total = len(found)
        if total == SHOWN and not words:
            total = count_requests(port, settings.temporal_namespace)
    except WebListError:
        return None
    rows = _rows(request_rows.shown(found, whole=bool(words)), settings)
    if rows is None:
        return None
    now, width = context.now(), context.columns()
    context.print_out(*request_rows.table(rows, now=now, width=width))
    whole = command_line(context.program, "list", "--all")
    if not words:
        context.print_err(*request_rows.not_shown(len(found), total, whole))
    if any(row.closed is None for row in rows):
        context.print_err(*missing_worker(context))
    context.print_err(*budget_lines(settings, context))
    return ExitCode.DELIVERED


def _never_used(settings: Settings) -> bool:
    """Return whether a home has never had a server: it has no request, and nothing is started."""
    if settings.temporal_address or SupervisorRecord.running(settings):
        return False
    return not any(settings.home.glob("temporal.db*"))


def _web_port(settings: Settings) -> int | None:
    """Return the port of the embedded server's web UI; None when there is none to ask."""
    if settings.temporal_address:
        return None
    supervisor, server = SupervisorRecord.running(settings), ServerRecord.running(settings)
    if supervisor is None or server is None or not supervisor.server_ready:
        return None
    if not supervisor.own_server or (settings.shared_host and not server.own_user):
        return None  # the usual command says what is wrong
    return server.ui_port


def _rows(requests: Sequence[ListedRequest], settings: Settings) -> list[RequestRow] | None:
    """Return the rows with what each request costs; None when one's result has to be asked."""
    open_ones = [request for request in requests if request.cost_usd is None]
    costs: dict[str, float] = {}
    if open_ones:
        from cli.quick.kept_costs import kept_costs  # noqa: PLC0415 - asyncio is slow

        costs = kept_costs(settings.stores, {request.key for request in open_ones})
    if any(request.row.closed and not costs.get(request.key) for request in open_ones):
        return None
    return [
        request.with_cost(costs.get(request.key, 0.0) if request.cost_usd is None else None)
        for request in requests
    ]
