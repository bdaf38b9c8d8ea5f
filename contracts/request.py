"""A request: what a person asks for and what they see of it."""

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from contracts import wire_defaults
from contracts.agent import Note
from contracts.approvals import Answered, AnswerRecord, Approval, ApprovalKind
from contracts.base import Contract, HumanInput, ObjectId, PathText, ShortText
from contracts.budget import CostEstimate, OnLimit
from contracts.checks import CheckResult
from contracts.endings import RequestEnding
from contracts.goal import MOST_DEADLINE_MINUTES, MOST_ROUNDS, GoalStatus
from contracts.lanes import Lane
from contracts.limits import MOST_TASKS
from contracts.model_choice import Effort, ModelName, WindowTokens
from contracts.permissions import AllowedRule
from contracts.planning import AddedEdge, Plan
from contracts.repository import Environment
from contracts.resume import Retry
from contracts.spending import Spending
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
        until: the goal: a command that is to pass on the merged tree. While it fails, the request
            goes on with fresh tasks, within its budget.
        rounds: at most so many, the plan's own tasks being the first; default: the worker's.
        deadline_minutes: no round begins later than so long after the start; default: none.
        approve: which steps wait for a person.
        on_limit: what happens when the budget does not allow the next call.
        max_parallel: tasks that run at once; a plan holds at most 64.
        model, model_planner, model_coder, model_reviewer: of every role, of one; default: the
            worker's.
        fallback_model: asked where another declines or is overloaded for long; default: the
            worker's, else none.
        effort: low, medium, high, xhigh or max; default: the worker's.
        window_tokens: input tokens of a call after which an agent goes on in a fresh window;
            default: that of the repository's settings, else the worker's.
        lane: in which its tasks run, worktree or cloud; default: that of the repository's settings,
            else chosen for each task.
        untrusted: its words are a stranger's: its tasks run in the cloud lane, whatever is asked.
        environment: of the checks; default: the worker's.
        setup: commands that install what the base depends on, run with a network before anything
            else; default: those of the repository's settings, else what its lock files ask for.
            An empty list: none.
        resumes: the key of an earlier start of this request, whose finished steps count: it is set
            when a request that a lost database has forgotten is started again, or retried.
        thread: the key of the first request of the thread that this one is a run of: it is told
            what the runs before came to, and starts from what they have delivered.
        retry: what this attempt does of a request that has ended: `orchestcode retry` sets it.
        code: where starts need one: `orchestcode code` adds it.
    """

    repository: PathText = Field(min_length=1, max_length=4_096)
    request: str = Field(min_length=1, max_length=32_000)
    base: str | None = Field(default=None, min_length=1, max_length=255)
    branch: str | None = Field(default=None, min_length=1, max_length=200)
    checks: tuple[_Command, ...] = Field(default=(), max_length=20)
    until: _Command | None = None
    rounds: int | None = Field(default=None, ge=1, le=MOST_ROUNDS)
    deadline_minutes: int | None = Field(default=None, ge=1, le=MOST_DEADLINE_MINUTES)
    approve: tuple[ApprovalKind, ...] = ()
    budget_usd: float = Field(default=wire_defaults.REQUEST_BUDGET_USD, gt=0, le=100_000)
    on_limit: OnLimit = OnLimit(wire_defaults.ON_LIMIT)
    max_parallel: int = Field(default=wire_defaults.PARALLEL_TASKS, ge=1, le=MOST_TASKS)
    model: ModelName | None = None
    model_planner: ModelName | None = None
    model_coder: ModelName | None = None
    model_reviewer: ModelName | None = None
    fallback_model: ModelName | None = None
    effort: Effort | None = None
    window_tokens: WindowTokens | None = None
    lane: Lane | None = None
    untrusted: bool = False
    environment: Environment | None = None
    setup: tuple[_Command, ...] | None = Field(default=None, max_length=20)
    resumes: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9-]{0,79}$")
    thread: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9-]{0,79}$")
    retry: Retry | None = None
    code: str | None = Field(default=None, max_length=100)

    @model_validator(mode="after")
    def _has_goal(self) -> Self:
        if self.until is None and (self.rounds or self.deadline_minutes):
            raise ValueError("rounds and deadline_minutes are those of a goal: name it with until")
        return self


class RequestStatus(Contract):
    """What the `status` query tells, and what a closed request returns.

    Attributes:
        id: the workflow id.
        attempt: 1, and one more with each retry.
        reason: what it waits for or why it failed, in words; never empty while it waits.
        since: when state and reason last changed, in seconds since the epoch; 0 = not known.
        answer: to a request that only asks a question; "" of any other.
        checks: of the merged tree, empty before they ran.
        checks_asked, checks_from: what must pass beside what tasks promise, and who says so, in
            words; empty where nothing is named.
        ending: how it ended; None while it is open, and in histories from before.
        work_command, landed_command: list the work in the store, take over what has landed.
        estimate: what the plan may cost; None before there is a plan.
        unpriced_tokens: tokens whose price is not known; the cost and the budget leave them out.
        model: the model that answered, as it named itself.
        models: what the request asked for, in words; "" where the worker's settings counted.
        base_problems: what fails, is flaky or cannot run on the base, before any work.
        base_passes: the checks that pass there.
        notes: what differs from the person's own checkout.
        codes: answers and notes count only with a code.
        service: options by which the Temporal CLI finds the service; empty where it does so itself.
        goal: how it stands with the command of `until`; None where it has none.
        follow_ups: requests that start once this one has ended, by id and what they ask for.
        answers: what was answered to its questions, newest last, of all attempts.
        refused_answers: answers of people that were not taken, newest last.
        allowed: rules that people's answers have added for the rest of it, oldest first.
    """

    id: str
    attempt: int = 1
    state: RunState
    reason: str = ""
    since: float = 0.0
    request: str = ""
    repository: PathText = ""
    base: ObjectId | None = None
    summary: str = ""
    tasks: tuple[TaskStatus, ...] = ()
    edges_added: tuple[AddedEdge, ...] = ()
    base_problems: tuple[ShortText, ...] = ()
    base_passes: tuple[str, ...] = ()
    approvals: tuple[Approval, ...] = ()
    codes: bool = False
    service: tuple[str, ...] = ()
    refused_answers: tuple[AnswerRecord, ...] = ()
    answers: tuple[Answered, ...] = ()
    allowed: tuple[AllowedRule, ...] = ()
    planner: str | None = None
    merge_queue: str | None = None
    branch: str | None = None
    commit: ObjectId | None = None
    diffstat: ShortText = ""
    checks: tuple[CheckResult, ...] = ()
    checks_asked: tuple[str, ...] = ()
    checks_from: str = ""
    ending: RequestEnding | None = None
    work_command: str = ""
    landed_command: str = ""
    cost_usd: float = 0.0
    budget_usd: float = 0.0
    estimate: CostEstimate | None = None
    unpriced_tokens: int = 0
    model: str = ""
    models: str = ""
    notes: tuple[ShortText, ...] = ()
    follow_ups: tuple[ShortText, ...] = ()
    goal: GoalStatus | None = None
    answer: str = ""


class RequestEnded(Contract):
    """What the store keeps of a request that has ended: its last status, and what it has spent.

    Attributes:
        plan: the last one; None when there was none, and of requests from before retries.
        approved: tasks of the plan could run.
        notes: of the person.
    """

    status: RequestStatus
    spent: tuple[Spending, ...] = ()
    plan: Plan | None = None
    approved: bool = False
    notes: tuple[Note, ...] = ()
