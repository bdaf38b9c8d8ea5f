"""Types of parameters that commands share: what they are called, what they accept, their help."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from cyclopts import Parameter, Token

from cli.context import CliContext
from contracts.model_choice import Effort

Context = Annotated[CliContext, Parameter(parse=False)]
"""The process around the command; every command gets it, nobody types it."""

RequestId = Annotated[
    str,
    Parameter(
        name="ID",
        help="a workflow id, its part after request/, or an unambiguous beginning of either",
    ),
]
MemoryName = Annotated[
    str, Parameter(name="NAME", help="as `memory list` shows it, or an unambiguous beginning")
]
RepositoryFolder = Annotated[
    str | None,
    Parameter(name="--repo", metavar="FOLDER", help="a repository (default: the one you are in)"),
]
BaseCommit = Annotated[
    str | None,
    Parameter(
        name="--base",
        metavar="COMMIT",
        help="branch, tag or commit that a request would start from (default: HEAD)",
    ),
]
TaskName = Annotated[
    str | None, Parameter(name="TASK", help="a task of its plan; left out, all of them")
]
AsJson = Annotated[bool, Parameter(name="--json", help="print JSON instead of text")]
PlannerModel = Annotated[
    str | None, Parameter(name="--model-planner", metavar="MODEL", help="the model of the planner")
]
CoderModel = Annotated[
    str | None, Parameter(name="--model-coder", metavar="MODEL", help="the model of the coders")
]
ReviewerModel = Annotated[
    str | None,
    Parameter(name="--model-reviewer", metavar="MODEL", help="the model of the reviewers"),
]
Thinking = Annotated[
    Effort | None, Parameter(name="--effort", help="how much the models may think")
]
Detach = Annotated[
    bool,
    Parameter(name="--detach", help="return at once (exit code 3); it goes on in the background"),
]
ApprovalId = Annotated[
    str | None, Parameter(name="APPROVAL", help="may be left out while only one waits")
]
ApprovalIds = Annotated[
    str,
    Parameter(name="APPROVAL", help="may be left out while only one waits; several are answered"),
]
AllApprovals = Annotated[
    bool, Parameter(name="--all", help="answer all that wait, but no task that you work on")
]
Digest = Annotated[
    str | None, Parameter(metavar="HEX", help="refuse unless what waits is still what you saw")
]


def converted(
    convert: Callable[[str], object], *, metavar: str, name: tuple[str, ...] | None = None
) -> Parameter:
    """Return a parameter of one value with a conversion of its own; given twice, the last counts.

    A ValueError of the conversion says what is wrong with what was typed.
    """

    def convert_last(_: Any, tokens: Sequence[Token]) -> object:
        return convert(tokens[-1].value)

    return Parameter(name=name, converter=convert_last, n_tokens=1, metavar=metavar)
