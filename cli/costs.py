"""Tables of what requests have cost."""

import json
from collections.abc import Iterable, Sequence

from cli import hints, request_rows
from cli.client import RequestSummary
from cli.client.connection import connected
from cli.context import CliContext
from cli.exit_codes import ExitCode
from cli.formatting import clean, cost, count, money, name, narrowed
from cli.kept import KeptOnHost, kept_on_host
from cli.wrapping import wrapped
from contracts.model import Usage
from contracts.request import RequestStatus
from contracts.spending import Spending
from domain.agent.models import PRICES_FROM, PRICES_OF
from domain.scheduling.budget import microusd
from domain.spending import cost_usd, unpriced_tokens, usage

PRICES = (
    f"Prices of {PRICES_OF} ({PRICES_FROM}); yours in ORCHESTCODE_PRICES. Each call is booked "
    "at the prices with which its agent began."
)
_TOKENS = ("INPUT", "WRITE 5M", "WRITE 1H", "CACHE READ", "OUTPUT")


async def show_cost(request_id: str, *, as_json: bool, context: CliContext) -> ExitCode:
    """Print what one request has cost, by task, role and model."""
    async with connected(context, worker=False) as service, kept_on_host(context) as kept:
        request = await service.requests.find(request_id)
        status, _ = await kept.status(service.requests, request)
        parts = await kept.spending(request)
    if as_json:
        context.print_out(json.dumps(document(status, parts), indent=2))
    else:
        width = context.columns()
        context.print_out(*table(status, parts, width=width), *wrapped(PRICES, width))
    return ExitCode.DELIVERED


async def show_costs(*, as_json: bool, context: CliContext) -> ExitCode:
    """Print what each request has cost, and all together."""
    async with connected(context, worker=False) as service, kept_on_host(context) as kept:
        requests = request_rows.shown(await service.requests.newest(), whole=True)
        spent = [(request, await _of(kept, request)) for request in requests]
    if as_json:
        context.print_out(json.dumps([_row_document(*each) for each in spent], indent=2))
    else:
        context.print_out(*table_of_all(spent, width=context.columns()))
    return ExitCode.DELIVERED


async def _of(kept: KeptOnHost, request: RequestSummary) -> tuple[Spending, ...]:
    """Return what a request has spent, with what it told itself where the store knows less."""
    parts = await kept.spending(request)
    return with_rest(parts, request.cost_usd or 0.0)


def with_rest(parts: Sequence[Spending], usd: float) -> tuple[Spending, ...]:
    """Return parts whose sum is what is shown elsewhere; older requests have no parts."""
    missing = microusd(usd) - microusd(cost_usd(parts))
    rest = [Spending(role="agents", cost_microusd=missing)] if missing > 0 else []
    return (*parts, *rest)


def table(status: RequestStatus, parts: Sequence[Spending], *, width: int = 0) -> list[str]:
    """Return a row for each task, role and model, and their sum.

    `width`: of the terminal, 0 without one. What does not fit is left out.
    """
    parts = with_rest(parts, status.cost_usd)
    if not parts:
        return ["No model has been asked yet: $0.00."]
    rows = [
        (
            name(part.task) or "-",
            name(part.role),
            clean(part.model, 60) or "-",
            str(part.turns),
            *_tokens(part.usage),
            money(part.cost_microusd / 1e6) if part.priced else "price unknown",
        )
        for part in parts
    ]
    total = cost(cost_usd(parts), unpriced_tokens(parts))
    turns = str(sum(part.turns for part in parts))
    head = ("TASK", "ROLE", "MODEL", "TURNS", *_TOKENS, "COST")
    table = [head, *rows, ("all", "", "", turns, *_tokens(usage(parts)), total)]
    # On a narrow terminal the models stand above, and the sums are left at last.
    choices = (("MODEL",), ("MODEL", "TURNS"), ("MODEL", "TURNS", *_TOKENS))
    lines = narrowed(table, choices, width, right="TURNS")
    if head[2] in lines[0]:
        return lines
    models = dict.fromkeys(row[2] for row in rows if row[2] != "-")
    return [*(f"model: {model}" for model in models), *lines]


def table_of_all(
    spent: Sequence[tuple[RequestSummary, Sequence[Spending]]], *, width: int = 0
) -> list[str]:
    """Return a row for each request, and their sum.

    `width`: of the terminal, 0 without one. What does not fit is left out.
    """
    if not spent:
        return ["No requests yet."]
    rows = [
        (
            name(hints.short_id(request.id)),
            request.state.value,
            *_tokens(usage(parts)),
            cost(cost_usd(parts), unpriced_tokens(parts)),
        )
        for request, parts in spent
    ]
    every = [part for _, parts in spent for part in parts]
    total = cost(cost_usd(every), unpriced_tokens(every))
    head = ("REQUEST", "STATE", *_TOKENS, "COST")
    table = [head, *rows, ("all", "", *_tokens(usage(every)), total)]
    choices = (_TOKENS[:3], _TOKENS, ("STATE", *_TOKENS))
    return narrowed(table, choices, width, right=_TOKENS[0])


def _tokens(used: Usage) -> Iterable[str]:
    kinds = (
        used.input_tokens,
        used.cache_write_tokens - used.cache_write_1h_tokens,
        used.cache_write_1h_tokens,
        used.cache_read_tokens,
        used.output_tokens,
    )
    return map(count, kinds)


def document(status: RequestStatus, parts: Sequence[Spending]) -> dict[str, object]:
    """Return what `cost ID --json` prints."""
    parts = with_rest(parts, status.cost_usd)
    return {
        "id": status.id,
        "cost_usd": round(cost_usd(parts), 6),
        "unpriced_tokens": unpriced_tokens(parts),
        "parts": [
            {
                **part.model_dump(include={"task", "role", "model", "turns", "usage", "priced"}),
                "cost_usd": part.cost_microusd / 1e6,
            }
            for part in parts
        ],
    }


def _row_document(request: RequestSummary, parts: Sequence[Spending]) -> dict[str, object]:
    return {
        "id": request.id,
        "state": request.state.value,
        "cost_usd": round(cost_usd(parts), 6),
        "unpriced_tokens": unpriced_tokens(parts),
        "usage": usage(parts).model_dump(),
    }
