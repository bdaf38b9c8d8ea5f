"""
Doubles of the ports: each keeps in memory what its port promises, and remembers what it was asked.

They subclass the ports, so a port that changes changes them too, or mypy says so. What they promise
has tests of its own, in tests/workflows/test_fakes.py.
"""

import asyncio
import contextlib
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from typing_extensions import override

from contracts.agent import AgentLimits, OpenedConversation
from contracts.base import Contract
from contracts.checks import CheckResult, ChecksReport, RunChecks
from contracts.failures import FailureKind
from contracts.merge_queue import (
    BuildChain,
    Chain,
    ChainLink,
    EnqueuePatch,
    LandChain,
    Landed,
    MergeQueueStart,
    MergeVerdict,
    QueuedPatch,
    RebasedPatch,
    RebasePatch,
)
from contracts.model import ModelCall, ModelTurn, OpenConversation, ToolUse, Usage
from contracts.ports import (
    CheckActivities,
    ModelActivities,
    PatchActivities,
    QueueActivities,
    ReconcileActivities,
    RepositoryActivities,
    ToolActivities,
    WorktreeActivities,
)
from contracts.reconcile import Reconcile, ReconcileReport
from contracts.repository import (
    CloseRequest,
    DeliverBranch,
    Delivered,
    OpenRepository,
    RepositoryOpened,
)
from contracts.review import MakePatch, Patch
from contracts.store import RepositoryRef
from contracts.tools import ReadCall, ReadResults, ToolCall, ToolOutcome, ToolResult
from contracts.worktrees import LeaseWorktree, ReleaseWorktree, WorktreeLease
from domain import failures, ids, limits
from domain.review.patch import judged
from tests.judging import config_of, effect_of, verdict_of

BASE = "b" * 40
"""The commit on which every request of a memory repository starts."""
MODEL = "claude-sonnet-5-5"


def oid(*parts: object) -> str:
    """An object id that follows from the parts."""
    return hashlib.sha1("\0".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def failing(kind: FailureKind, text: str) -> ApplicationError:
    """Return a failure as an activity raises it, not retried by the server."""
    return ApplicationError(text, failures.advice(kind), type=kind, non_retryable=True)


@dataclass(frozen=True)
class ScriptedReply:
    """
    One scripted reply.

    Attributes:
        uses: tool, subject and whether the arguments are unusable, in order.
        finish: what a lone `finish` hands in.
        waits: the reply comes only once this is set.
        fails: no reply: the call fails.
    """

    stop: str = "tool_use"
    uses: tuple[tuple[str, str, bool], ...] = ()
    finish: Contract | None = None
    text: str = ""
    cost_microusd: int = 1_000
    waits: asyncio.Event | None = None
    fails: ApplicationError | None = None


def acts(*uses: tuple[str, str], waits: asyncio.Event | None = None) -> ScriptedReply:
    """A reply that calls tools."""
    return ScriptedReply(uses=tuple((name, subject, False) for name, subject in uses), waits=waits)


def finishes(output: Contract, *, cost_microusd: int = 1_000) -> ScriptedReply:
    """A reply that hands in."""
    call = (("finish", "", False),)
    return ScriptedReply(uses=call, finish=output, cost_microusd=cost_microusd)


def says(text: str, stop: str = "end_turn") -> ScriptedReply:
    """A reply without a tool call."""
    return ScriptedReply(stop=stop, text=text)


class MemoryModel(ModelActivities):
    """
    Plays scripted replies, one list per "role/task"; the same call again gets the same reply.

    Attributes:
        opened, calls: what was asked, oldest first.
        limits: pinned for agents that open a conversation.
    """

    def __init__(self, scripts: Mapping[str, Iterable[ScriptedReply]]) -> None:
        self._scripts = {who: deque(script) for who, script in scripts.items()}
        self._journal: dict[str, ModelTurn] = {}
        self.limits = AgentLimits()
        self.opened: list[OpenConversation] = []
        self.calls: list[ModelCall] = []

    def told(self, who: str) -> list[str | None]:
        """The messages of every call of one "role/task"."""
        return [call.message for call in self.calls if _who(call) == who]

    def left(self) -> int:
        """How many replies nobody asked for."""
        return sum(map(len, self._scripts.values()))

    @override
    @activity.defn
    async def open_conversation(self, request: OpenConversation) -> OpenedConversation:
        self.opened.append(request)
        name = f"{request.agent_id}#{request.generation}"
        return OpenedConversation(
            id=name, head=oid("root", name), model=MODEL, config=config_of(MODEL, self.limits)
        )

    @override
    @activity.defn
    async def call_model(self, request: ModelCall) -> ModelTurn:
        key = oid(request.model_dump_json())
        if key not in self._journal:
            self.calls.append(request)
            self._journal[key] = await self._reply(request)
        return self._journal[key]

    async def _reply(self, request: ModelCall) -> ModelTurn:
        script = self._scripts.get(_who(request))
        if not script:
            raise failing(FailureKind.MODEL_REQUEST, f"no reply is scripted for {_who(request)}")
        said = script.popleft()
        if said.waits:
            await said.waits.wait()
        if said.fails:
            raise said.fails
        return _turn(said, request)


def _who(call: ModelCall) -> str:
    fields = dict(part.split("=", 1) for part in call.agent.split("; "))
    return f"{fields['role']}/{fields['task']}"


def _turn(said: ScriptedReply, request: ModelCall) -> ModelTurn:
    before = request.conversation
    discarded = said.stop in {"max_tokens", "refusal"}
    after = before.model_copy(
        update={
            "head": oid(before.head, "turn"),
            "turns": before.turns + 1,
            "context_tokens": 1_000,
        }
    )
    return ModelTurn(
        conversation=before if discarded else after,
        stop_reason=said.stop,
        tool_uses=tuple(
            ToolUse(
                id=f"toolu_{before.turns}_{place}",
                name=name,
                arguments=None if bad else oid(name, subject),
                subject=subject,
                problem="the arguments do not fit" if bad else "",
                effect=effect_of(name),
                verdict=None if bad else verdict_of(name, subject),
            )
            for place, (name, subject, bad) in enumerate(said.uses)
        ),
        finish=said.finish.model_dump_json() if said.finish else None,
        says=said.text,
        usage=Usage(input_tokens=900, output_tokens=100),
        cost_microusd=said.cost_microusd,
        model="memory",
        discarded=discarded,
    )


class MemoryTools(ToolActivities):
    """
    Hands that touch nothing: every write makes a new checkpoint, every call the same output again.

    Attributes:
        calls: reads and writes, oldest first.
        failed: tools that fail.
        lost: worktrees that are gone.
    """

    def __init__(self) -> None:
        self.calls: list[ReadCall | ToolCall] = []
        self.lost: set[str] = set()
        self.failed: frozenset[str] = frozenset()

    @override
    @activity.defn
    async def read_files(self, request: ReadCall) -> ReadResults:
        self._called(request)
        results = tuple(
            ToolResult(call_id=key, outcome=ToolOutcome.DONE, output=oid("read", arguments))
            for key, _, arguments in request.calls
        )
        return ReadResults(results=results, seen=oid("seen", len(self.calls)))

    @override
    @activity.defn
    async def apply_edit(self, request: ToolCall) -> ToolResult:
        return self._write(request)

    @override
    @activity.defn
    async def run_command(self, request: ToolCall) -> ToolResult:
        return self._write(request)

    @override
    @activity.defn
    async def call_tool(self, request: ToolCall) -> ToolResult:
        return self._write(request)

    def _called(self, request: ReadCall | ToolCall) -> None:
        if request.lease.worktree in self.lost:
            raise failing(FailureKind.FENCED, "the lease is over")
        self.calls.append(request)

    def _write(self, request: ToolCall) -> ToolResult:
        self._called(request)
        failed = request.tool in self.failed
        return ToolResult(
            call_id=request.call_id,
            outcome=ToolOutcome.FAILED if failed else ToolOutcome.DONE,
            output=oid("write", request.arguments),
            checkpoint=oid(request.expected, request.call_id),
        )


class MemoryWorktrees(WorktreeActivities):
    """
    Leases by holder.

    Attributes:
        open: leases that were not released, by holder.
        asked: every first request for a lease.
    """

    def __init__(self, host_id: str, tip: Callable[[], str]) -> None:
        self._host_id = host_id
        self._tip = tip
        self.open: dict[str, WorktreeLease] = {}
        self.asked: list[LeaseWorktree] = []

    @override
    @activity.defn
    async def lease_worktree(self, request: LeaseWorktree) -> WorktreeLease:
        holder = f"{request.owner}|{request.purpose}"
        if holder not in self.open:
            self.asked.append(request)
            self.open[holder] = WorktreeLease(
                worktree=holder,
                epoch=len(self.asked),
                host_id=self._host_id,
                commit=request.commit or self._tip(),
            )
        return self.open[holder]

    @override
    @activity.defn
    async def release_worktree(self, request: ReleaseWorktree) -> None:
        held = self.open.get(request.lease.worktree)
        if held == request.lease:
            del self.open[request.lease.worktree]


class MemoryChecks(CheckActivities):
    """
    Decides by a function whether a command passes; by default all do.

    Attributes:
        passes: of the request and one of its commands.
        runs: what was asked, oldest first.
        broken: raised instead of any report.
        gate: no report comes before it is set.
    """

    def __init__(self) -> None:
        self.passes: Callable[[RunChecks, str], bool] = lambda _run, _command: True
        self.runs: list[RunChecks] = []
        self.broken: ApplicationError | None = None
        self.gate: asyncio.Event | None = None

    @override
    @activity.defn
    async def run_checks(self, request: RunChecks) -> ChecksReport:
        self.runs.append(request)
        if self.gate:
            await self.gate.wait()
        if self.broken:
            raise self.broken
        results: list[CheckResult] = []
        for command in request.commands:
            code = 0 if self.passes(request, command) else 1
            results.append(CheckResult(command=command, exit_code=code, seconds=0.0))
            if code:
                break
        log = oid("log", request.commit, *request.commands)
        return ChecksReport(
            commit=request.commit, tree=oid("tree", request.commit), results=tuple(results), log=log
        )


class MemoryPatches(PatchActivities):
    """
    A target whose patches are names: which two conflict is said in advance.

    Attributes:
        tip: the target.
        shape: further fields of a patch that is made, by its request.
        clashes: pairs of queue ids that conflict.
        intruders: how many landings somebody else is faster than.
        landings: ids of what landed together, oldest first.
        gate: no chain is built before it is set.
    """

    def __init__(self) -> None:
        self.tip = BASE
        self.shape: Callable[[MakePatch], Mapping[str, object]] = lambda _request: {}
        self.clashes: set[frozenset[str]] = set()
        self.intruders = 0
        self.landings: list[tuple[str, ...]] = []
        self.made: list[MakePatch] = []
        self.rebased: list[RebasePatch] = []
        self.chains: list[BuildChain] = []
        self.gate: asyncio.Event | None = None
        self._held: dict[str, tuple[str, ...]] = {}

    def holds(self, commit: str) -> tuple[str, ...]:
        """The queue ids in a candidate."""
        return self._held.get(commit, ())

    @override
    @activity.defn
    async def make_patch(self, request: MakePatch) -> Patch:
        self.made.append(request)
        commit = oid("patch", request.task, request.round, request.checkpoint)
        plain = Patch(
            task=request.task,
            round=request.round,
            base=request.base,
            commit=commit,
            tree=oid("tree", commit),
            patch_id=oid("id", commit),
            files=len(request.writes),
            added_lines=1,
            deleted_lines=0,
            paths=request.writes,
            diff=oid("diff", commit),
        )
        return judged(request, plain.model_copy(update=dict(self.shape(request))))

    @override
    @activity.defn
    async def rebase_patch(self, request: RebasePatch) -> RebasedPatch:
        self.rebased.append(request)
        return RebasedPatch(tip=self.tip, checkpoint=oid(self.tip, request.patch.commit))

    @override
    @activity.defn
    async def build_chain(self, request: BuildChain) -> Chain:
        self.chains.append(request)
        tip = commit = self.tip
        links: list[ChainLink] = []
        stacked: list[str] = []
        for name, patch in request.patches:
            landed = [done for landing in self.landings for done in landing]
            with_tip = self._clash(name, landed)
            if with_tip or self._clash(name, stacked):
                links.append(ChainLink(id=name, conflicts=("a.py",), with_tip=with_tip))
                continue
            commit = oid(commit, patch)
            stacked.append(name)
            self._held[commit] = tuple(stacked)
            links.append(ChainLink(id=name, commit=commit))
        if self.gate:
            await self.gate.wait()
        return Chain(tip=tip, links=tuple(links))

    def _clash(self, name: str, others: Sequence[str]) -> bool:
        return any(frozenset({name, other}) in self.clashes for other in others)

    @override
    @activity.defn
    async def land_chain(self, request: LandChain) -> Landed:
        if self.intruders:
            self.intruders -= 1
            self.tip = oid(self.tip, "intruder")
        if self.tip == request.tip:
            self.tip = request.candidate
            self.landings.append(request.titles)
        return Landed(commit=self.tip if self.tip == request.candidate else None)


class MemoryRepositories(RepositoryActivities):
    """
    A user's repository that takes branches.

    Attributes:
        refusal: why nothing can be opened.
        delivered, withdrawn, closed: what was asked, oldest first.
        gate: no branch is delivered before it is set.
        trouble: what every delivery fails with.
        unheard: one that failed has come about all the same.
    """

    def __init__(self, host_id: str) -> None:
        self._host_id = host_id
        self.gate: asyncio.Event | None = None
        self.trouble: FailureKind | None = None
        self.unheard = False
        self.refusal: str | None = None
        self.delivered: list[DeliverBranch] = []
        self.withdrawn: list[DeliverBranch] = []
        self.closed: list[CloseRequest] = []

    @override
    @activity.defn
    async def open_repository(self, request: OpenRepository) -> RepositoryOpened:
        if self.refusal:
            raise failing(FailureKind.REFUSED, self.refusal)
        return RepositoryOpened(
            repository=RepositoryRef(
                key=f"memory-{self._host_id}",
                request_key=request.request_key,
                target="target",
                environment=oid("environment"),
                host_id=self._host_id,
            ),
            path=request.path,
            base=BASE,
            base_name="main",
            branch=request.branch or request.suggested_branch,
            files=1,
            limits=limits.REQUEST,
        )

    @override
    @activity.defn
    async def deliver_branch(self, request: DeliverBranch) -> Delivered:
        if request not in self.delivered:
            self.delivered.append(request)
        if self.trouble:
            raise failing(self.trouble, "no answer")
        if self.gate:
            # Carried to its end, as a push is that has begun.
            opened = asyncio.create_task(self.gate.wait())
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.shield(opened)
            await opened
        return Delivered(branch=request.branch, commit=request.commit, diffstat="1 file changed")

    @override
    @activity.defn
    async def withdraw_delivery(self, request: DeliverBranch) -> Delivered | None:
        self.withdrawn.append(request)
        if not self.unheard:
            return None
        return Delivered(branch=request.branch, commit=request.commit, diffstat="1 file changed")

    @override
    @activity.defn
    async def close_request(self, request: CloseRequest) -> None:
        self.closed.append(request)


@dataclass
class MemoryQueues(QueueActivities):
    """
    Answers a patch as scripted, in the merge queue's place, or starts the real queue.

    Attributes:
        verdicts: answers in order; None starts MergeQueueWorkflow on `task_queue`.
        queued: what was put in, oldest first.
    """

    client: Client
    task_queue: str
    verdicts: deque[Callable[[QueuedPatch], MergeVerdict]] | None = None
    queued: list[QueuedPatch] = field(default_factory=list)

    @override
    @activity.defn
    async def enqueue_patch(self, request: EnqueuePatch) -> None:
        queued = request.queued
        if queued not in self.queued:
            self.queued.append(queued)
        if self.verdicts is None:
            await self._start(request)
        elif self.verdicts:
            sender = self.client.get_workflow_handle(queued.reply_to)
            await sender.signal("merge_verdict", self.verdicts.popleft()(queued))

    async def _start(self, request: EnqueuePatch) -> None:
        await self.client.start_workflow(
            "MergeQueueWorkflow",
            MergeQueueStart(repository=request.queued.repository, limits=request.limits),
            id=request.queue_id,
            task_queue=self.task_queue,
            start_signal="enqueue",
            start_signal_args=[request.queued],
        )


class MemoryDisk(ReconcileActivities):
    """
    A disk on which everything is in order.

    Attributes:
        looks: what was asked, oldest first.
        slow: a look does not end before it is cancelled, and fails then, as in a dying worker.
    """

    def __init__(self) -> None:
        self.looks: list[Reconcile] = []
        self.slow = False

    @override
    @activity.defn
    async def reconcile(self, request: Reconcile) -> ReconcileReport:
        self.looks.append(request)
        if self.slow:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError as stop:
                raise failing(FailureKind.DISK, "no room") from stop
        return ReconcileReport(host_id=request.host_id, dry_run=request.dry_run, leases=0)


def queue_id(repository: RepositoryRef) -> str:
    """The workflow id of a memory repository's merge queue."""
    return ids.queue_id(repository.key, repository.target)
