"""Send what waits back to its agent.

A plan goes back to the planner, a patch to its coder; the new one waits for you again. `status`
prints the complete command, with the digest of what you see.

Examples:
  starter.py revise mine plan --feedback "also the README"
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
    feedback: Annotated[str, Parameter(metavar="TEXT", help="what to change")],
    context: Context,
) -> ExitCode:
    """Send back."""
    return await answer(
        Choice.REVISE,
        request_id,
        (approval,) if approval else (),
        digest=digest,
        reason=feedback,
        context=context,
    )
