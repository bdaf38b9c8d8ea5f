"""Answer an approval: checked at once by a worker, or stored by the server for the next one."""

from collections.abc import Sequence

from pydantic import ValidationError

from cli import hints
from cli.client import RequestSummary
from cli.client.connection import Service, connected
from cli.context import CliContext
from cli.exit_codes import ExitCode, ServiceUnavailable, UsageError
from cli.formatting import clean
from contracts.approvals import Approval, Choice, Decide
from domain.approvals import codes
from runtime.home_secret import home_secret
from runtime.settings import load


async def answer(
    choice: Choice,
    request_id: str,
    approval: str | None,
    *,
    digest: str | None,
    reason: str,
    context: CliContext,
) -> ExitCode:
    """Answer the approval of this id, or the only one that waits.

    `digest` is the beginning of the digest of what the person saw; None leaves it unchecked.
    """
    decide = _decide(choice=choice, approval=approval, reason=reason, by=context.user)
    # A service run by others keeps the answer for its own workers.
    own = load(context.environ).temporal_address is None
    async with connected(context, worker=own) as service:
        requests = service.requests
        request = await requests.find_open(request_id)
        try:
            pending = await requests.approvals(request.id)
            whole = None if digest is None else _whole_digest(digest, approval, pending)
            code = _code(choice, approval, pending, request, context)
            answer = decide.model_copy(update={"digest": whole, "code": code})
            receipt = await requests.decide(request.id, answer)
            context.print_out(clean(receipt.message, 500))
        except ServiceUnavailable as error:
            if digest is not None:
                raise UsageError(
                    "No worker answers, so what waits cannot be compared with --digest; "
                    "leave it out, or start a worker with `up --detach`."
                ) from error
            if load(context.environ).answer_codes:
                raise UsageError(
                    "No worker answers, so what waits cannot be answered with its code; start one "
                    "with `up --detach`, then answer again."
                ) from error
            await requests.signal_answer(request.id, decide)
            start = hints.start_command(context.program)
            context.print_out(f"{error} The answer is sent and counts as soon as one runs: {start}")
    return ExitCode.DELIVERED


async def answer_shown(
    service: Service,
    request: RequestSummary,
    shown: Approval,
    choice: Choice,
    *,
    reason: str,
    context: CliContext,
) -> str:
    """Send the answer to a question that a person saw, and return what became of it.

    It counts for exactly what was shown: a question that has changed since refuses it.
    """
    decide = _decide(choice=choice, approval=shown.id, reason=reason, by=context.user)
    pending = await service.requests.approvals(request.id)
    whole = _whole_digest(shown.digest, shown.id, pending) if shown.digest else None
    code = _code(choice, shown.id, pending, request, context)
    update = decide.model_copy(update={"digest": whole, "code": code})
    receipt = await service.requests.decide(request.id, update)
    return clean(receipt.message, 500)


def _code(
    choice: Choice,
    approval_id: str | None,
    pending: Sequence[Approval],
    request: RequestSummary,
    context: CliContext,
) -> str | None:
    """Return the code of an answer, None where none is needed or it is not clear what is meant."""
    named = [approval for approval in pending if approval_id in (None, approval.id)]
    if len(named) != 1 or not named[0].asked:
        return None
    secret = home_secret(load(context.environ))
    return codes.answer_code(secret, request.id, request.run_id, named[0], choice)


def _decide(**answer: object) -> Decide:
    try:
        return Decide.model_validate(answer)
    except ValidationError as error:
        raise UsageError("The answer is too long: shorten it to 8,000 characters.") from error


def _whole_digest(seen: str, approval_id: str | None, pending: Sequence[Approval]) -> str:
    """Return the whole digest of the pending approval that the person saw, else what they gave.

    The request refuses that, and keeps it among the answers that were not taken.
    """
    if not seen:
        raise UsageError("--digest is empty: give what `status` shows, or leave it out.")
    named = [approval for approval in pending if approval_id in (None, approval.id)]
    matching = (each.digest for each in named if each.digest.startswith(seen.lower()))
    return next(matching, seen)
