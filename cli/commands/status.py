"""Show a request's present state.

Needs no worker: what the server knows is shown without one.

Examples:
  starter.py status mine
  starter.py status mine --json

Keys of --json (an object; `list` prints an array of them):
  id, state, reason, branch, commit, cost_usd, model, request, repository,
  summary, base_problems (what fails or cannot run on the base, a list),
  notes (what differs from your checkout, a list), unpriced_tokens (tokens
  whose price is not known; cost_usd leaves them out)
  tasks      each: id, title, state, reason, depends_on, turns, tokens,
             unpriced_tokens, cost (US dollars), rounds, rounds_left, commit,
             findings, no_change, answer, kept (fetches its last patch)
  checks     of the merged tree; each: command, passed, exit_code, seconds,
             timed_out
  approvals  that wait for a person; each: id, kind, what, why, risk, digest
"""

import json
from dataclasses import replace

from rich.console import Console

from cli import hints
from cli.client import RequestSummary
from cli.client.connection import Service, connected
from cli.exit_codes import ExitCode
from cli.formatting import clean
from cli.parameters import AsJson, Context, RequestId
from cli.snapshot import Snapshot, take_snapshot
from cli.views.live import live_view
from cli.views.plain import changes
from cli.views.report import closing, document
from contracts.request import RequestStatus


async def command(
    request_id: RequestId, /, *, as_json: AsJson = False, context: Context
) -> ExitCode:
    """Show one request."""
    async with connected(context, worker=False) as service:
        request = await service.requests.find(request_id)
        status, reported = await service.requests.known_status(request)
        if as_json:
            context.print_out(json.dumps(document(status), indent=2))
        elif request.closed:
            _show_ended(request, status, service, context)
        else:
            snapshot = (
                await take_snapshot(service.requests, status) if reported else Snapshot(status)
            )
            _show_open(request, snapshot, service, context)
    return ExitCode.DELIVERED


def _show_ended(
    request: RequestSummary, status: RequestStatus, service: Service, context: Context
) -> None:
    title = f"{request.id} {status.state}: {clean(status.request)}".removesuffix(": ")
    seconds = request.seconds(context.now())
    context.print_out(title, *closing(status, seconds=seconds, link=service.link(request)))
    if not status.work_command:  # the report of a request that told its last has it already
        context.print_out(*hints.salvage_hint(request.salvage_command, status.state))


def _show_open(
    request: RequestSummary, snapshot: Snapshot, service: Service, context: Context
) -> None:
    """Show the live view once on a terminal, elsewhere the same as lines."""
    shown = replace(snapshot, seconds=request.seconds(context.now()), link=service.link(request))
    console = Console(file=context.stdout)
    if console.is_terminal:
        console.print(live_view(shown, program=context.program))
    else:
        context.print_out(*changes(None, shown, program=context.program))
