"""Show a request's present state.

Needs no worker: what the server knows is shown without one.

Examples:
  starter.py status mine
  starter.py status mine --json

Keys of --json (an object; `list` prints an array of them):
  id, state, reason, since (seconds since 1970), branch, commit, cost_usd,
  model, models (what was asked for), request, repository, summary,
  attempt (1, and one more with each retry),
  checks_asked (what must pass beside what tasks promise, a list), checks_from
  (who names them), base_passes (those that pass on the base, a list),
  budget_usd, estimate (null before there is a plan; tasks, low_usd,
  high_usd, past_tasks: 0 when there is no past to estimate by, past_usd,
  model),
  base_problems (what fails, is flaky or cannot run on the base, a list),
  answer (to a request that only asks a question, else ""), follow_ups
  (requests that start once this one has ended, a list),
  goal (null without --until; command, met, missed: why it goes on no
  further, most: its last round, deadline, before, rounds: number, tasks,
  commit, changed, passed, outcome, failing, cost_usd),
  notes (what differs from your checkout, a list), unpriced_tokens
  (tokens whose price is not known; cost_usd leaves them out)
  tasks      each: id, title, state, reason, depends_on, turns, tokens,
             unpriced_tokens, cost (US dollars), rounds, rounds_left, commit,
             findings, no_change, answer, kept (fetches its last patch),
             left_out (what its agent made and nothing keeps), granted (paths
             that it may change beside those planned, and by what)
  checks     of the merged tree; each: command, passed, exit_code, seconds,
             timed_out
  approvals  that wait for a person; each: id, kind, what, why, risk, digest
  answers    of people in this attempt; each: approval, choice, by, reason
"""

import json
from dataclasses import replace

from rich.console import Console

from cli import hints
from cli.client import RequestSummary
from cli.client.connection import Service, connected
from cli.exit_codes import ExitCode
from cli.formatting import clean, name
from cli.kept import kept_on_host
from cli.parameters import AsJson, Context, RequestId
from cli.snapshot import Snapshot
from cli.views.live import live_view
from cli.views.plain import DETAIL_LINES, changes
from cli.views.report import closing, document
from cli.worker_hint import missing_worker
from cli.wrapping import wrapped
from contracts.request import RequestStatus


async def command(
    request_id: RequestId, /, *, as_json: AsJson = False, context: Context
) -> ExitCode:
    """Show one request."""
    async with connected(context, worker=False) as service, kept_on_host(context) as kept:
        request = await service.requests.find(request_id)
        status, reported = await kept.status(service.requests, request)
        if as_json:
            context.print_out(json.dumps(document(status), indent=2))
        elif request.closed:
            _show_ended(request, status, service, context)
        else:
            snapshot = (
                await kept.snapshot(service.requests, request, status)
                if reported
                else Snapshot(status)
            )
            _show_open(request, snapshot, service, context)
            context.print_err(*missing_worker(context))
    return ExitCode.DELIVERED


def _show_ended(
    request: RequestSummary, status: RequestStatus, service: Service, context: Context
) -> None:
    title = f"{name(request.id)} {status.state}: {clean(status.request)}".removesuffix(": ")
    seconds = request.seconds(context.now())
    width = context.columns()
    report = closing(status, seconds=seconds, link=service.link(request), width=width)
    context.print_out(*wrapped(title, width), *report)
    if not status.work_command:  # the report of a request that told its last has it already
        salvage = hints.salvage_hint(request.salvage_command, status.state)
        context.print_prose(*salvage, commands=[request.salvage_command])
    if not request.refused:
        context.print_prose(*hints.retry_hint(context.program, status))


def _show_open(
    request: RequestSummary, snapshot: Snapshot, service: Service, context: Context
) -> None:
    """Show the live view once on a terminal, elsewhere the same as lines."""
    shown = replace(snapshot, seconds=request.seconds(context.now()), link=service.link(request))
    console = Console(file=context.stdout)
    if console.is_terminal:
        view = live_view(shown, program=context.program, detail_lines=DETAIL_LINES)
        console.print(view)
    else:
        context.print_out(*changes(None, shown, program=context.program))
