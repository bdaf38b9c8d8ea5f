"""A request: what a person asks for and what they see of it."""

from typing import Annotated

from pydantic import Field, StringConstraints

from contracts import wire_defaults
from contracts.approvals import AnswerRecord, Approval, ApprovalKind
from contracts.base import Contract, HumanInput, ObjectId, PathText, ShortText
from contracts.checks import CheckResult
from contracts.endings import RequestEnding
from contracts.limits import MOST_TASKS
from contracts.planning import AddedEdge
from contracts.repository import Environment
from contracts.task import TaskStatus
from contracts.visibility import RunState

_Command = Annotated[str, StringConstraints(min_length=1, max_length=4_000, strip_whitespace=True)]


class RequestStart(HumanInput):
    """RequestWorkflow's input; by hand: `--input '{"repository": "/path", "request": "…"}'`.

    Attributes:
        repository: absolute path of a git repository on the worker's host.
        base: branch, tag or commit to start from; default: what HEAD names.
        branch: the branch to deliver; default: `orchestcode/<slug>-<id>`.
        checks: commands that must pass on the merged tree.
        approve: which steps wait for a person.
        max_parallel: tasks that run at once; a plan holds at most 64.
        environment: of the checks; default: the worker's.
        resumes: the key of an earlier start of this request, whose finished steps count: it is set
            when a request that a lost database has forgotten is started again.
    """

    repository: PathText = Field(min_length=1, max_length=4_096)
    request: str = Field(min_length=1, max_length=32_000)
    base: str | None = Field(default=None, min_length=1, max_length=255)
    branch: str | None = Field(default=None, min_length=1, max_length=200)
    checks: tuple[_Command, ...] = Field(default=(), max_length=20)
    approve: tuple[ApprovalKind, ...] = ()
    budget_usd: float = Field(default=wire_defaults.REQUEST_BUDGET_USD, gt=0, le=100_000)
    max_parallel: int = Field(default=wire_defaults.PARALLEL_TASKS, ge=1, le=MOST_TASKS)
    environment: Environment | None = None
    resumes: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9-]{0,79}$")


class RequestStatus(Contract):
    """What the `status` query tells, and what a closed request returns.

    Attributes:
        id: the workflow id.
        reason: what it waits for or why it failed, in words; never empty while it waits.
        checks: of the merged tree, empty before they ran.
        ending: how it ended; None while it is open, and in histories from before.
        work_command, landed_command: list the work in the store, take over what has landed.
        unpriced_tokens: tokens whose price is not known; the cost and the budget leave them out.
        model: the model that answered, as it named itself.
        base_problems: what fails or cannot run on the base, before any work.
        notes: what differs from the person's own checkout.
        refused_answers: answers of people that were not taken, newest last.
    """

    id: str
    state: RunState
    reason: str = ""
    request: str = ""
    repository: PathText = ""
    base: ObjectId | None = None
    summary: str = ""
    tasks: tuple[TaskStatus, ...] = ()
    edges_added: tuple[AddedEdge, ...] = ()
    base_problems: tuple[ShortText, ...] = ()
    approvals: tuple[Approval, ...] = ()
    refused_answers: tuple[AnswerRecord, ...] = ()
    planner: str | None = None
    merge_queue: str | None = None
    branch: str | None = None
    commit: ObjectId | None = None
    diffstat: ShortText = ""
    checks: tuple[CheckResult, ...] = ()
    ending: RequestEnding | None = None
    work_command: str = ""
    landed_command: str = ""
    cost_usd: float = 0.0
    budget_usd: float = 0.0
    unpriced_tokens: int = 0
    model: str = ""
    notes: tuple[ShortText, ...] = ()
