"""A subtask: one task of the plan in its own worktree, from agent to landed patch."""

from pydantic import Field

from contracts import wire_defaults
from contracts.agent import AgentLimits
from contracts.base import Contract, ObjectId, ShortText
from contracts.baseline import Baseline
from contracts.budget import OnLimit
from contracts.endings import TaskEnding
from contracts.lanes import Lane
from contracts.limits import RequestLimits
from contracts.model_choice import ModelChoice
from contracts.planning import AddedEdge, Claim, Promise, TaskSpec
from contracts.review import KeptFinding
from contracts.store import RepositoryRef
from contracts.task import EarlierAttempt, TaskState
from contracts.threads import MOST_PAST


class Replanned(Contract):
    """What the planner puts in place of a task whose agent is stuck.

    Attributes:
        tasks: in topological order; they depend on each other alone.
        added: the edges among them that validation added.
        why: the agent is stuck.
        left: what it had changed, a diff's object id; None for nothing.
    """

    tasks: tuple[TaskSpec, ...]
    added: tuple[AddedEdge, ...] = ()
    summary: ShortText = ""
    why: ShortText = ""
    left: ObjectId | None = None


class SubtaskStart(Contract):
    """Run one task.

    Attributes:
        request: the person's words, for the agent's opening.
        checks: the request's checks; the task's acceptance commands come before them.
        siblings: a line for each other task of the plan.
        baseline: what was found on the base; None in requests from before 2026-12.
        human_review: a person decides on every patch.
        limits: the money of the task's agents.
        notes: a person's notes so far.
        models: what the request asks for.
        promised: by the landed tasks that this one stands on.
        claims: what the other tasks write; None in histories from before.
        earlier: the attempt before this one; None in a first one.
        landed: what has landed in earlier attempts at the request promised.
        resumed: its agents go on with the conversations that they had under their ids.
        past: what the runs of the request's thread before it came to.
        documents: what its agent is shown beside its task, by label and object id.
        lane: in which it runs; None leaves the choice.
        untrusted: the words that it works from are a stranger's.
        group: names the task and its forks, of which one lands; "" of one without any.
        replans: most tasks that the planner may put in its place when its agent is stuck; 0: none.
        plan_review: a person decides on every plan.
        on_limit: what happens when the budget does not allow the next call.
        request_limits: None in requests from before 2026-12, whose patches and reviews the workflow
            judges itself.
    """

    request_id: str
    request: str = Field(max_length=32_000)
    plan_summary: str = ""
    repository: RepositoryRef
    task: TaskSpec
    checks: tuple[str, ...] = ()
    human_review: bool = False
    limits: AgentLimits = AgentLimits()
    notes: tuple[str, ...] = ()
    siblings: tuple[ShortText, ...] = ()
    baseline: Baseline | None = None
    request_limits: RequestLimits | None = None
    models: ModelChoice = ModelChoice()
    promised: tuple[Promise, ...] = ()
    claims: tuple[Claim, ...] | None = None
    earlier: EarlierAttempt | None = None
    landed: tuple[Promise, ...] = ()
    resumed: bool = False
    past: str = Field(default="", max_length=MOST_PAST)
    documents: tuple[tuple[str, ObjectId], ...] = ()
    group: str = ""
    lane: Lane | None = None
    untrusted: bool = False
    replans: int = 0
    plan_review: bool = False
    on_limit: OnLimit = OnLimit(wire_defaults.ON_LIMIT)
    queue_id: str


class SubtaskReport(Contract):
    """A subtask's state: signalled to its request at each change, and its result.

    Attributes:
        agent: workflow id of the agent at work, None when none is.
        rounds_left: how often it may still go back for checks or review; None before it is known.
        unpriced_tokens: those of `tokens` whose price is not known.
        landed: the commit on the target that holds the patch.
        findings: of its reviewers, settled or not.
        ending: how it ended; None while it is open.
        no_change: why nothing had to change, when that is how it was done.
        dropped: acceptance commands that a person has dropped.
        granted: paths that it may change beside those it was planned with, and by what.
        kept: the ref under which the store keeps its last patch; "" when there is none.
        answer: what an agent that changed nothing said: the answer to what was asked.
        left_out: what its agent's worktree holds and its work does not; "" for nothing.
        granted_microusd: what its agents got beyond its share of the budget.
        workflow_id: of the task's workflow; "" in histories from before.
        instead: the tasks that are done in its place; None unless it has ended so.
    """

    task: str
    workflow_id: str = ""
    state: TaskState
    reason: ShortText = ""
    lane: ShortText = ""
    agent: str | None = None
    rounds: int = 0
    rounds_left: int | None = None
    turns: int = 0
    tokens: int = 0
    unpriced_tokens: int = 0
    cost_microusd: int = 0
    landed: ObjectId | None = None
    dropped: tuple[str, ...] = ()
    granted: tuple[ShortText, ...] = ()
    kept: str = ""
    model: str = ""
    findings: tuple[KeptFinding, ...] = ()
    no_change: ShortText = ""
    answer: str = Field(default="", max_length=4_000)
    ending: TaskEnding | None = None
    left_out: ShortText = ""
    granted_microusd: int = 0
    instead: Replanned | None = None
