"""Approve what waits, so that it goes ahead.

`status` prints the complete command, with the digest of what you see. Without a worker the answer
is stored with the server and counts as soon as a worker runs.

Examples:
  starter.py approve mine
  starter.py approve mine review/mend-total/0 --digest 0ffbdcc81291
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
    reason: Annotated[str, Parameter(metavar="TEXT", help="recorded with the answer")] = "",
    context: Context,
) -> ExitCode:
    """Approve."""
    return await answer(
        Choice.APPROVE, request_id, approval, digest=digest, reason=reason, context=context
    )
