"""Options of the commands that start a request, and the input that they make."""

from typing import Annotated

from cyclopts import Parameter
from pydantic import ValidationError

from cli.exit_codes import UsageError
from cli.parameters import converted
from contracts.limits import MOST_TASKS
from contracts.model_choice import LEAST_WINDOW_TOKENS, MOST_WINDOW_TOKENS
from contracts.request import RequestStart


def dollars(text: str) -> float:
    """Return an amount of money; ValueError when it is none."""
    try:
        amount = float(text)
    except ValueError:
        amount = 0.0
    if not 0 < amount <= 100_000:
        raise ValueError(f"{text} is not an amount between 0 and 100000")
    return amount


BudgetFromNow = Annotated[
    float | None,
    converted(dollars, name=("--budget-usd", "--budget"), metavar="USD"),
    Parameter(help="dollars that the whole request may cost from now on (default: as before)"),
]


def task_count(text: str) -> int:
    """Return how many tasks run at once; ValueError when so many cannot."""
    if not text.isdecimal() or not 1 <= int(text) <= MOST_TASKS:
        raise ValueError(
            f"{text} is not a number from 1 to {MOST_TASKS}, the most tasks that a plan holds"
        )
    return int(text)


def window_size(text: str) -> int:
    """Return how many tokens a window has; ValueError when it cannot."""
    if not text.isdecimal() or not LEAST_WINDOW_TOKENS <= int(text) <= MOST_WINDOW_TOKENS:
        raise ValueError(
            f"{text} is not a number from {LEAST_WINDOW_TOKENS} to {MOST_WINDOW_TOKENS}"
        )
    return int(text)


WindowSize = Annotated[
    int | None,
    converted(window_size, name=("--window-tokens",), metavar="N"),
    Parameter(
        help="input tokens after which an agent goes on in a fresh window (default: that of the "
        "repository's settings, else the worker's)"
    ),
]


def request_start(**values: object) -> RequestStart:
    """Return the workflow's input; refuse a value that it does not allow."""
    try:
        return RequestStart.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        problem = f"The request's {where} is not allowed: {first['msg'].lower()}."
        raise UsageError(problem) from error
