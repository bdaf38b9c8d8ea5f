"""Answer an approval: checked at once by a worker, or stored by the server for the next one."""

from collections.abc import Sequence

from pydantic import ValidationError

from cli import hints
from cli.client import RequestClient, RequestSummary
from cli.client.connection import Service, connected
from cli.context import CliContext
from cli.exit_codes import ExitCode, ServiceUnavailable, UsageError
from cli.formatting import clean
from contracts.approvals import Approval, ApprovalKind, Choice, Decide
from domain.approvals import allowing, codes
from runtime.home_secret import home_secret
from runtime.settings import load


async def answer(
    choice: Choice,
    request_id: str,
    approvals: Sequence[str],
    *,
    digest: str | None,
    reason: str,
    every: bool = False,
    for_request: bool = False,
    context: CliContext,
) -> ExitCode:
    """Answer the approvals of these ids, all that wait, or the only one.

    `digest` is the beginning of the digest of what the person saw; None leaves it unchecked.
    """
    if every and approvals:
        raise UsageError("Name approvals, or give --all for those that wait: not both.")
    if digest is not None and (every or len(approvals) > 1):
        raise UsageError("--digest is of one approval: answer that one by itself.")
    decide = _decide(choice=choice, reason=reason, by=context.user, for_request=for_request)
    # A service run by others keeps the answer for its own workers.
    own = load(context.environ).temporal_address is None
    async with connected(context, worker=own) as service:
        request = await service.requests.find_open(request_id)
        if every or len(approvals) > 1:
            return await _answer_several(service, request, approvals, decide, context)
        named = decide.model_copy(update={"approval": next(iter(approvals), None)})
        await _answer_one(service.requests, request, named, digest, context)
    return ExitCode.DELIVERED


async def _answer_one(
    requests: RequestClient,
    request: RequestSummary,
    decide: Decide,
    digest: str | None,
    context: CliContext,
) -> None:
    """Answer one approval; without a worker the server keeps the answer for the next one."""
    try:
        pending = await requests.approvals(request.id)
        whole = None if digest is None else _whole_digest(digest, decide.approval, pending)
        code = _code(decide, pending, request, context)
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


async def _answer_several(
    service: Service,
    request: RequestSummary,
    names: Sequence[str],
    decide: Decide,
    context: CliContext,
) -> ExitCode:
    """Answer several approvals one by one, each for exactly what is printed of it."""
    pending = await service.requests.approvals(request.id)
    asked = _named(names, pending) if names else _all_but_handed_off(pending, context)
    if not asked:
        raise UsageError("Nothing waits for an answer now.")
    refused = 0
    for each in asked:
        digest = each.digest[: hints.DIGEST_CHARACTERS]
        context.print_out(f"{clean(each.id)}  {digest}  {clean(each.what, 200)}")
        answer = decide.model_copy(update={"approval": each.id, "digest": each.digest})
        answer = answer.model_copy(update={"code": _code(answer, pending, request, context)})
        try:
            receipt = await service.requests.decide(request.id, answer)
            context.print_out(f"  {clean(receipt.message, 500)}")
        except UsageError as problem:
            refused += 1
            context.print_out(f"  not taken: {clean(str(problem), 500)}")
    if refused:
        raise UsageError(f"{refused} of {len(asked)} answers were not taken.")
    return ExitCode.DELIVERED


def _named(names: Sequence[str], pending: Sequence[Approval]) -> list[Approval]:
    """Return the approvals of these names; nothing is answered where one does not wait."""
    by_name = {each.id.casefold(): each for each in pending}
    wanted = list(dict.fromkeys(each.casefold() for each in names))
    if missing := [each for each in wanted if each not in by_name]:
        waits = ", ".join(clean(each.id) for each in pending) or "nothing"
        raise UsageError(
            f"{clean(missing[0], 80)} does not wait, so nothing was answered; what waits: {waits}."
        )
    return [by_name[each] for each in wanted]


def _all_but_handed_off(pending: Sequence[Approval], context: CliContext) -> list[Approval]:
    """Return what waits; a task that a person works on is theirs to give back, by name."""
    for each in pending:
        if each.kind is ApprovalKind.HAND_OFF:
            context.print_out(f"{clean(each.id)}  left: {clean(each.what, 200)}")
    return [each for each in pending if each.kind is not ApprovalKind.HAND_OFF]


async def answer_shown(
    service: Service,
    request: RequestSummary,
    shown: Approval,
    choice: Choice,
    *,
    reason: str,
    for_request: bool = False,
    context: CliContext,
) -> str:
    """Send the answer to a question that a person saw, and return what became of it.

    It counts for exactly what was shown: a question that has changed since refuses it.
    """
    decide = _decide(
        choice=choice,
        approval=shown.id,
        reason=reason,
        by=context.user,
        for_request=for_request,
    )
    pending = await service.requests.approvals(request.id)
    whole = _whole_digest(shown.digest, shown.id, pending) if shown.digest else None
    code = _code(decide, pending, request, context)
    update = decide.model_copy(update={"digest": whole, "code": code})
    receipt = await service.requests.decide(request.id, update)
    return clean(receipt.message, 500)


def _code(
    decide: Decide, pending: Sequence[Approval], request: RequestSummary, context: CliContext
) -> str | None:
    """Return the code of an answer, None where none is needed or it is not clear what is meant."""
    named = [approval for approval in pending if decide.approval in (None, approval.id)]
    if len(named) != 1 or not named[0].asked:
        return None
    secret = home_secret(load(context.environ))
    meant = allowing.what_is_answered(decide.choice, for_request=decide.for_request)
    return codes.answer_code(secret, request.id, request.run_id, named[0], meant)


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
