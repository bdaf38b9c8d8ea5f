"""Reject what waits.

A rejected plan or delivery ends the request, a rejected patch its task; the work so far stays in
the store. `status` prints the complete command, with the digest of what you see. Several
answers, and --all, each count for what is printed with them, by its digest.

Examples:
  starter.py reject mine delivery --reason "not today"
  starter.py reject mine --all --reason "not today"
"""

from typing import Annotated

from cyclopts import Parameter

from cli.answers import answer
from cli.exit_codes import ExitCode
from cli.parameters import AllApprovals, ApprovalIds, Context, Digest, RequestId
from contracts.approvals import Choice


async def command(
    request_id: RequestId,
    /,
    *approvals: ApprovalIds,
    every: AllApprovals = False,
    digest: Digest = None,
    reason: Annotated[str, Parameter(metavar="TEXT", help="why")],
    context: Context,
) -> ExitCode:
    """Reject."""
    return await answer(
        Choice.REJECT,
        request_id,
        approvals,
        every=every,
        digest=digest,
        reason=reason,
        context=context,
    )
