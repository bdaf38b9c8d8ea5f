"""Approve what waits, so that it goes ahead.

`status` prints the complete command, with the digest of what you see. Without a worker the answer
is stored with the server and counts as soon as a worker runs. Several answers, and --all, each
count for what is printed with them, by its digest; one that is refused stops no other.

With --for-request, where `status` offers it, the rules that it shows are added to the request:
calls that they allow do not ask again. `policy show --request ID` lists them.

Examples:
  starter.py approve mine
  starter.py approve mine review/mend-total/0 --digest 0ffbdcc81291
  starter.py approve mine review/mend-total/0 review/document-prices/0
  starter.py approve mine --all
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
    reason: Annotated[str, Parameter(metavar="TEXT", help="recorded with the answer")] = "",
    for_request: Annotated[
        bool,
        Parameter(name="--for-request", help="also allow such calls for the rest of the request"),
    ] = False,
    context: Context,
) -> ExitCode:
    """Approve."""
    return await answer(
        Choice.APPROVE,
        request_id,
        approvals,
        every=every,
        digest=digest,
        reason=reason,
        for_request=for_request,
        context=context,
    )
