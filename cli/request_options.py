"""Options of the commands that start a request, and the input that they make."""

from typing import Annotated

from cyclopts import Parameter
from pydantic import ValidationError

from cli.exit_codes import UsageError
from cli.parameters import converted
from contracts.approvals import ApprovalKind
from contracts.budget import OnLimit
from contracts.goal import MOST_DEADLINE_MINUTES, MOST_ROUNDS
from contracts.lanes import OFFERED, Lane
from contracts.limits import MOST_TASKS
from contracts.model_choice import LEAST_WINDOW_TOKENS, MOST_WINDOW_TOKENS
from contracts.request import RequestStart

STEPS = (ApprovalKind.PLAN, ApprovalKind.REVIEW, ApprovalKind.DELIVERY)
"""The steps that `--approve` may name."""


def _steps(text: str) -> tuple[ApprovalKind, ...]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in STEPS]
    if wrong or not names:
        raise ValueError(f"{', '.join(wrong) or 'nothing'} is not among {', '.join(STEPS)}")
    return tuple(dict.fromkeys(ApprovalKind(name) for name in names))


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


def round_count(text: str) -> int:
    """Return how many rounds a goal may have; ValueError when so many cannot be."""
    return _whole(text, MOST_ROUNDS, "rounds")


def deadline_minutes(text: str) -> int:
    """Return a deadline in minutes, of `90`, `90m`, `2h` or `1d`; ValueError when it is none."""
    factor = _MINUTES.get(text[-1:], 1)
    number = text[:-1] if text[-1:] in _MINUTES else text
    if not number.isdecimal() or not 1 <= int(number) * factor <= MOST_DEADLINE_MINUTES:
        raise ValueError(f"{text} is no time of at most 30 days, such as 90m, 2h or 1d")
    return int(number) * factor


_MINUTES = {"m": 1, "h": 60, "d": 24 * 60}


def _whole(text: str, most: int, what: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise ValueError(f"{text} is not a number of {what} from 1 to {most}")
    return int(text)


Goal = Annotated[
    str | None,
    Parameter(
        name="--until",
        metavar="CMD",
        help="the goal: while this command fails on the merged tree, it goes on with fresh tasks, "
        "round after round; where it passes on the base already, nothing is done",
    ),
]
Rounds = Annotated[
    int | None,
    converted(round_count, metavar="N"),
    Parameter(
        help="of --until: at most so many rounds, the plan's own tasks being the first, at most 50 "
        "(default: 5)"
    ),
]
Deadline = Annotated[
    int | None,
    converted(deadline_minutes, metavar="TIME"),
    Parameter(
        help="of --until: no round begins later than so long after the start, as 90m, 2h or 1d; "
        "one at work is carried to its end (default: none)"
    ),
]


def lane(text: str) -> Lane:
    """Return a lane that a person may ask for; ValueError when it is none."""
    names = tuple(each.value for each in OFFERED)
    if text not in names:
        raise ValueError(f"{text} is not among {', '.join(names)}")
    return Lane(text)


TaskLane = Annotated[
    Lane | None,
    converted(lane, name=("--lane",), metavar="LANE"),
    Parameter(
        help="where tasks run: worktree, or cloud, a sealed throw-away clone with narrower limits "
        "(default: that of the repository's settings, else chosen for each task)"
    ),
]
Untrusted = Annotated[
    bool,
    Parameter(
        name="--untrusted",
        help="the words are a stranger's, such as an issue's: every task runs in the cloud lane",
    ),
]
Repository = Annotated[
    str | None,
    Parameter(
        metavar="PATH",
        help="the git repository (default: the one you stand in, or that of --after)",
    ),
]
After = Annotated[
    str | None,
    Parameter(metavar="ID", help="go on from the branch that this request has delivered"),
]
Thread = Annotated[
    str | None,
    Parameter(
        metavar="ID",
        help="follow this request: agents are told what it and its other follow-ups were asked "
        "and came to, and it starts from what they delivered; while one runs, it waits for its end",
    ),
]
Base = Annotated[
    str | None,
    Parameter(metavar="REF", help="branch, tag or commit to start from (default: HEAD)"),
]
Branch = Annotated[
    str | None, Parameter(metavar="NAME", help="the branch to deliver (default: orchestcode/…)")
]
Checks = Annotated[
    tuple[str, ...],
    Parameter(
        metavar="CMD",
        help="a command that must pass on the merged tree; may be given several times",
    ),
]
Setup = Annotated[
    tuple[str, ...],
    Parameter(
        metavar="CMD",
        help="a command that installs what the repository depends on, run once with network before "
        "any agent starts; may be given several times (default: that of its settings, or what its "
        "lock files ask for, once you have allowed it)",
    ),
]
NoSetup = Annotated[bool, Parameter(help="install nothing")]
Steps = Annotated[
    tuple[ApprovalKind, ...],
    converted(_steps, metavar="STEPS"),
    Parameter(
        help="what waits for you: plan, review, delivery, separated by commas (default: none)"
    ),
]
Budget = Annotated[
    float | None,
    converted(dollars, metavar="USD"),
    Parameter(help="dollars that all model calls may cost (default: 10)"),
]
AtLimit = Annotated[
    OnLimit | None,
    Parameter(
        help="at the end of the budget: ask you for more, or finish with what has landed "
        "(default: ask)"
    ),
]
MostParallel = Annotated[
    int | None,
    converted(task_count, metavar="N"),
    Parameter(help="tasks that run at once, at most 64, as many as a plan may hold (default: 4)"),
]
Model = Annotated[
    str | None,
    Parameter(
        metavar="MODEL",
        help="the model of every role (default: ORCHESTCODE_MODEL, else the worker's)",
    ),
]
FallbackModel = Annotated[
    str | None,
    Parameter(
        metavar="MODEL",
        help="the model that is asked where another declines or is overloaded for ten minutes "
        "(default: ORCHESTCODE_FALLBACK_MODEL, else none)",
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
