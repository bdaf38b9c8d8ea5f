"""Setting the budget of an open request."""

from cli.client import RequestClient, RequestSummary
from cli.context import CliContext
from contracts.budget import BudgetChange, SetBudget
from domain.approvals import codes
from domain.scheduling.budget import microusd
from runtime.home_secret import home_secret
from runtime.settings import load


async def set_budget(
    requests: RequestClient, request: RequestSummary, usd: float, context: CliContext
) -> None:
    """Set what an open request may cost, in US dollars; needs a worker."""
    wanted = SetBudget(usd=usd, by=context.user)
    code = await budget_code(wanted, request, requests, context)
    await requests.set_budget(request.id, wanted.model_copy(update={"code": code}))


async def budget_code(
    wanted: SetBudget, request: RequestSummary, requests: RequestClient, context: CliContext
) -> str | None:
    """Return the code of a budget, None where none is needed."""
    settings = load(context.environ)
    if not settings.answer_codes:
        return None
    before = microusd((await requests.status(request.id)).budget_usd)
    change = BudgetChange(before=before, after=microusd(wanted.usd))
    return codes.budget_code(home_secret(settings), request.id, request.run_id, change)
