"""`approve`, `reject`, `revise`, `note`, `cancel`: what a person says to a request."""

import asyncio

from pydantic import ValidationError

from cli import hints
from cli.client import RequestClient, RequestSummary
from cli.context import CliContext
from cli.exit_codes import ExitCode, ServiceUnavailable, UsageError
from cli.formatting import clean
from cli.parser import AddNote, Cancel, Respond
from cli.service import reach
from contracts.agent import Note
from contracts.approvals import Approval, Decide

_CANCEL_SECONDS = 30.0


async def respond(typed: Respond, around: CliContext) -> ExitCode:
    """Answer what waits: checked at once by a worker, or left with the server for the next one."""
    async with reach(around, worker=False) as service:
        found = await _open(service.requests, typed.id)
        try:
            pending = await service.requests.approvals(found.id)
            decide = answer(typed, pending, by=around.user)
            receipt = await service.requests.decide(found.id, decide)
        except ServiceUnavailable as away:
            await _leave(typed, found, service.requests, around, away)
        else:
            around.say(clean(receipt.message, 500))
    return ExitCode.DELIVERED


def answer(typed: Respond, pending: list[Approval] | None, *, by: str) -> Decide:
    """
    Return a person's answer in the form that the request takes.

    Args:
        typed: the answer; its digest may be the beginning of one.
        pending: what waits; None when it is not known.
        by: who answers.

    Raises:
        UsageError: what waits is not what the person saw, or cannot be compared with it.
    """
    digest = None if typed.digest is None else _whole(typed, pending)
    try:
        return Decide(
            choice=typed.choice,
            approval=typed.approval,
            digest=digest,
            reason=typed.reason,
            by=by,
        )
    except ValidationError as error:
        raise UsageError("The answer is too long: 8,000 characters are kept.") from error


def _whole(typed: Respond, pending: list[Approval] | None) -> str:
    """Return the whole digest of the pending approval that the person saw."""
    if pending is None:
        raise UsageError(
            "No worker answers, so what waits cannot be compared with --digest; "
            "leave it out, or bring a worker up with `watch`."
        )
    named = [one for one in pending if typed.approval in (None, one.id)]
    if not named:
        raise UsageError("Nothing of that name waits any more; `status` shows what does.")
    seen = (typed.digest or "").lower()
    for approval in named:
        if seen and approval.digest.startswith(seen):
            return approval.digest
    raise UsageError("What waits is no longer what you saw; `status` shows it as it is now.")


async def _leave(
    typed: Respond,
    found: RequestSummary,
    requests: RequestClient,
    around: CliContext,
    away: ServiceUnavailable,
) -> None:
    """Leave an answer with the server; a worker takes it as soon as one runs."""
    await requests.leave_answer(found.id, answer(typed, None, by=around.user))
    watch = hints.command(around.program, "watch", hints.short_id(found.id))
    around.say(f"{away} The answer is kept and counts as soon as one runs: {watch}")


async def note(typed: AddNote, around: CliContext) -> ExitCode:
    """Leave a note for a request's agents."""
    try:
        text = Note(text=typed.text.strip(), task=typed.task)
    except ValidationError as error:
        raise UsageError("A note has 1 to 4,000 characters.") from error
    async with reach(around, worker=False) as service:
        found = await _open(service.requests, typed.id)
        await _know_task(service.requests, found, text.task)
        await service.requests.note(found.id, text)
    whom = f"the agent of {text.task}" if text.task else "every agent"
    around.say(f"Noted; {whom} reads it at its next turn.")
    return ExitCode.DELIVERED


async def _know_task(requests: RequestClient, found: RequestSummary, task: str | None) -> None:
    """Refuse a task that the plan does not have, as far as anybody can tell."""
    if task is None:
        return
    try:
        tasks = [one.id for one in (await requests.status(found.id)).tasks]
    except ServiceUnavailable:
        return
    if tasks and task not in tasks:
        raise UsageError(f"There is no task {clean(task, 60)}; there are {', '.join(tasks)}.")


async def cancel(typed: Cancel, around: CliContext) -> ExitCode:
    """Give a request up and wait until it has freed what it holds."""
    async with reach(around, worker=True) as service:
        found = await _open(service.requests, typed.id)
        await service.requests.cancel(found.id)
        try:
            ending = await asyncio.wait_for(service.requests.ending(found.id), _CANCEL_SECONDS)
        except TimeoutError:
            watch = hints.command(around.program, "watch", hints.short_id(found.id))
            around.say(f"{found.id} is asked to stop and still frees what it holds: {watch}")
            return ExitCode.WAITING
    around.say(f"{found.id} has ended: {ending.state}")
    around.say(*hints.kept(found.kept, ending.state))
    return ExitCode.DELIVERED


async def _open(requests: RequestClient, typed: str) -> RequestSummary:
    found = await requests.find(typed)
    if found.closed:
        raise UsageError(f"{found.id} has ended ({found.state}); nothing waits any more.")
    return found
