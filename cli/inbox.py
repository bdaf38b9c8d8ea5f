"""The questions of all open requests, as lines and as JSON."""

import asyncio
import json
from collections.abc import Sequence

from cli import hints
from cli.client import RequestClient, RequestSummary
from cli.client.connection import connected
from cli.client.rpc import WORKER_UNAVAILABLE
from cli.command_words import command_line
from cli.context import CliContext
from cli.exit_codes import ExitCode, ServiceUnavailable, UsageError
from cli.formatting import plural
from cli.views.inbox import RequestQuestions, inbox_lines
from contracts.approvals import Approval

_AT_ONCE = 16
_SHOWN = 50
"""How many requests are asked unless all are: each costs the worker time."""


async def show_inbox(context: CliContext, *, whole: bool, as_json: bool) -> ExitCode:
    """Print what waits for a person, the most urgent first; of many requests the oldest ones."""
    async with connected(context, worker=False) as service:
        waiting = await service.requests.waiting()
        waiting.sort(key=lambda request: request.started)
        shown = waiting if whole or as_json else waiting[:_SHOWN]
        found = await _questions(service.requests, shown)
    if as_json:
        context.print_out(json.dumps(_documents(found, context.program), indent=2))
        return ExitCode.DELIVERED
    lines = inbox_lines(found, program=context.program, now=context.now(), width=context.columns())
    context.print_out(*lines)
    if len(shown) < len(waiting):
        command = command_line(context.program, "inbox", "--all")
        told = f"{plural(len(waiting) - len(shown), 'newer request')} with questions"
        context.print_err(f"orchestcode: {told}; list all with: {command}")
    if any(each.questions is None for each in found):
        start = hints.start_command(context.program)
        context.print_err(f"orchestcode: {WORKER_UNAVAILABLE} Start one with: {start}")
    return ExitCode.DELIVERED


async def _questions(
    client: RequestClient, waiting: Sequence[RequestSummary]
) -> list[RequestQuestions]:
    """Ask requests for their questions; once no worker has answered, no other one is asked."""
    turn = asyncio.Semaphore(_AT_ONCE)
    silent = False

    async def ask(request: RequestSummary) -> RequestQuestions | None:
        nonlocal silent
        async with turn:
            if silent:
                return RequestQuestions(request, None)
            try:
                return RequestQuestions(request, tuple(await client.approvals(request.id)))
            except ServiceUnavailable:
                silent = True
                return RequestQuestions(request, None)
            except UsageError:  # it has ended, and is forgotten, meanwhile
                return None

    found = await asyncio.gather(*map(ask, waiting))
    return [each for each in found if each is not None]


def _documents(found: Sequence[RequestQuestions], program: str) -> list[dict[str, object]]:
    documents: list[dict[str, object]] = []
    for each in found:
        request = {"request": each.request.id, "repository": each.request.repository}
        if each.questions is None:
            documents.append({**request, "pending": each.request.pending})
        documents += [
            {**request, **_document(each.request.id, asked, program)}
            for asked in each.questions or ()
        ]
    return sorted(documents, key=lambda each: float(str(each.get("until", 0))) or float("inf"))


def _document(request_id: str, asked: Approval, program: str) -> dict[str, object]:
    kept = {"id", "kind", "what", "why", "risk", "digest", "since", "rules"}
    return {
        **asked.model_dump(mode="json", include=kept),
        "until": asked.until,
        "commands": hints.answer_commands(program, request_id, asked),
    }
