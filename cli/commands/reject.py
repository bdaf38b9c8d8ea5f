"""Reject what waits.

A rejected plan or delivery ends the request, a rejected patch its task; the work so far stays in
the store. `status` prints the complete command, with the digest of what you see.

Examples:
  starter.py reject mine delivery --reason "not today"
"""

from typing import Annotated

from cyclopts import Parameter

from cli.answers import answer
from cli.exit_codes import ExitCode
from cli.parameters import ApprovalId, Context, Digest, RequestId
from contracts.approvals import Choice


async def command(
    request_id: RequestId,
    approval: ApprovalId = None,
    /,
    *,
    digest: Digest = None,
    reason: Annotated[str, Parameter(metavar="TEXT", help="why")],
    context: Context,
) -> ExitCode:
    """Reject."""
    return await answer(
        Choice.REJECT, request_id, approval, digest=digest, reason=reason, context=context
    )
