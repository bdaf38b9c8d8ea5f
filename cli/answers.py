"""Answer an approval: checked at once by a worker, or stored by the server for the next one."""

from collections.abc import Sequence

from pydantic import ValidationError

from cli import hints
from cli.client.connection import connected
from cli.context import CliContext
from cli.exit_codes import ExitCode, ServiceUnavailable, UsageError
from cli.formatting import clean
from contracts.approvals import Approval, Choice, Decide


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
    async with connected(context, worker=False) as service:
        requests = service.requests
        request = await requests.find_open(request_id)
        try:
            pending = await requests.approvals(request.id)
            whole = None if digest is None else _whole_digest(digest, approval, pending)
            receipt = await requests.decide(request.id, decide.model_copy(update={"digest": whole}))
            context.print_out(clean(receipt.message, 500))
        except ServiceUnavailable as error:
            if digest is not None:
                raise UsageError(
                    "No worker answers, so what waits cannot be compared with --digest; "
                    "leave it out, or start a worker with `watch`."
                ) from error
            await requests.signal_answer(request.id, decide)
            watch = hints.command_line(context.program, "watch", hints.short_id(request.id))
            context.print_out(f"{error} The answer is sent and counts as soon as one runs: {watch}")
    return ExitCode.DELIVERED


def _decide(**answer: object) -> Decide:
    try:
        return Decide.model_validate(answer)
    except ValidationError as error:
        raise UsageError("The answer is too long: shorten it to 8,000 characters.") from error


def _whole_digest(seen: str, approval_id: str | None, pending: Sequence[Approval]) -> str:
    """Return the whole digest of the pending approval that the person saw."""
    named = [approval for approval in pending if approval_id in (None, approval.id)]
    if not named:
        raise UsageError("Nothing of that name waits any more; `status` shows what does.")
    for approval in named:
        if seen and approval.digest.startswith(seen.lower()):
            return approval.digest
    raise UsageError("What waits is no longer what you saw; `status` shows it as it is now.")
