"""
What the workflows reach: every activity as a function of its key, its attempt and its argument.

They keep what the real ones promise: repeats have one effect, leases are fenced, the target moves
by compare-and-swap. Faults come from the world round them, never from here, but for those that a
scenario names.
"""

import json
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from activities.failures import failed
from contracts.agent import OpenedConversation
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
    QueuedPatch,
    RebasedPatch,
    RebasePatch,
)
from contracts.model import ModelCall, ModelTurn, OpenConversation, ToolUse, Usage
from contracts.policy import JudgePlan, JudgeReview, PlanJudgement, ReviewJudgement
from contracts.ports import PORTS
from contracts.reconcile import Reconcile, ReconcileReport
from contracts.repository import (
    CloseRequest,
    DeliverBranch,
    Delivered,
    OpenRepository,
    RepositoryOpened,
)
from contracts.review import MakePatch, Patch, ReviewFinish
from contracts.store import RepositoryRef
from contracts.tools import ReadCall, ReadResults, ToolCall, ToolOutcome, ToolResult
from contracts.worktrees import LeaseWorktree, ReleaseWorktree, WorktreeLease
from domain import ids, limits
from domain.agent import models
from domain.planning import plan
from domain.review import verdict
from domain.review.patch import in_scope, judged
from domain.review.risk import risks
from tests.judging import config_of, effect_of, verdict_of
from tests.simulation import script
from tests.simulation.adapter import activity_types
from tests.simulation.attempts import Activity
from tests.simulation.repository import MARKED, Memory, Tree, oid
from tests.simulation.scenario import Scenario

_HOST = "host-1"
_MODEL = "claude-sonnet-5-5"


@dataclass(frozen=True)
class Landing:
    """One move of the target."""

    target: str
    commit: str
    tree: str
    titles: tuple[str, ...]


@dataclass
class Ledger:
    """
    What the activities did, for the invariants.

    Attributes:
        spent: microUSD of every reply that was made.
        green: (tree, command) that passed, in order.
        opened: facts of each conversation's opening, by its id.
    """

    spent: int = 0
    green: dict[tuple[str, str], float] = field(default_factory=dict)
    landings: list[Landing] = field(default_factory=list)
    opened: dict[str, str] = field(default_factory=dict)
    fenced: int = 0


class Activities:
    """
    All activities of one simulation.

    Args:
        now: simulated seconds.
        enqueue: signal-with-start of a merge queue: its id, its start, the patch.
        running: workflow ids of what is open.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        now: Callable[[], float],
        enqueue: Callable[[str, MergeQueueStart, QueuedPatch], None],
        running: Callable[[], Collection[str]],
    ) -> None:
        self.memory = Memory()
        self.ledger = Ledger()
        self._scenario = scenario
        self._now = now
        self._enqueue = enqueue
        self._open = running
        self._journal: dict[str, object] = {}
        self._logs: dict[str, script.Log] = {}
        self._moved = False

    def table(self) -> dict[str, tuple[Activity, type]]:
        """Return every activity of every port by its name, with its argument's type."""
        found: dict[str, tuple[Activity, type]] = {}
        for port in PORTS:
            for method in sorted(port.__abstractmethods__):
                name, hint = activity_types(getattr(port, method))
                found[name] = (getattr(self, name), hint)
        return found

    def _chance(self, *parts: object) -> random.Random:
        return random.Random(" ".join(map(str, (self._scenario.seed, *parts))))

    def _during(self, window: tuple[float, float]) -> bool:
        start, end = window
        return start < self._now() < end

    def _room(self) -> None:
        if self._during(self._scenario.world.full_disk):
            raise failed(FailureKind.DISK, "no room left on the disk")

    def open_repository(self, key: str, attempt: int, request: OpenRepository) -> RepositoryOpened:
        """Make the base, and claim the branch."""
        if self._chance("refused").random() < 0.01:
            raise failed(FailureKind.REFUSED, "there is no repository")
        branch = request.branch or request.suggested_branch
        owner = self.memory.claims.setdefault(branch, request.request_id)
        if owner != request.request_id:
            raise failed(FailureKind.REFUSED, f"the branch is being made by {owner}")
        base = self.memory.commit({"README": "hello"}, note="base")
        target = ids.target_name(branch, request.request_key)
        self.memory.tips.setdefault(target, base)
        return RepositoryOpened(
            repository=RepositoryRef(
                key=ids.repository_key(request.path),
                request_key=request.request_key,
                target=target,
                environment=self.memory.blob("environment"),
                host_id=_HOST,
            ),
            path=request.path,
            base=base,
            base_name="main",
            branch=branch,
            files=1,
            limits=limits.REQUEST,
        )

    def deliver_branch(self, key: str, attempt: int, request: DeliverBranch) -> Delivered:
        """Make the branch; one that is there already must be this very one."""
        if request.branch in self.memory.withdrawn:
            raise failed(FailureKind.REFUSED, "the delivery was withdrawn")
        at = self.memory.branches.setdefault(request.branch, request.commit)
        if at != request.commit:
            raise failed(FailureKind.REFUSED, "the branch was made by somebody else")
        return Delivered(branch=request.branch, commit=at, diffstat="some files")

    def withdraw_delivery(self, key: str, attempt: int, request: DeliverBranch) -> Delivered | None:
        """Say what was delivered; if nothing was, nothing will be."""
        at = self.memory.branches.get(request.branch)
        if at == request.commit:
            return Delivered(branch=request.branch, commit=at, diffstat="some files")
        self.memory.withdrawn.add(request.branch)
        return None

    def close_request(self, key: str, attempt: int, request: CloseRequest) -> None:
        """Give up the claim."""
        if self.memory.claims.get(request.branch) == request.request_id:
            del self.memory.claims[request.branch]

    def lease_worktree(self, key: str, attempt: int, request: LeaseWorktree) -> WorktreeLease:
        """Lease a worktree, the same one for the same holder."""
        self._room()
        commit = request.commit or self.memory.tips[request.repository.target]
        lease = self.memory.lease(_holder(request), commit)
        return WorktreeLease(
            worktree=lease.worktree, epoch=lease.epoch, host_id=_HOST, commit=lease.commit
        )

    def release_worktree(self, key: str, attempt: int, request: ReleaseWorktree) -> None:
        """Take a worktree back."""
        self._room()
        self.memory.leases.pop(_holder(request), None)
        self.memory.release(request.lease.worktree, request.lease.epoch)

    def open_conversation(
        self, key: str, attempt: int, request: OpenConversation
    ) -> OpenedConversation:
        """Begin a log."""
        name = ids.conversation_id(
            request.repository.request_key, request.agent_id, request.generation
        )
        self.ledger.opened[name] = "\n".join(text for _, text in request.facts)
        return OpenedConversation(
            id=name, head=oid("opening", name), model=_MODEL, config=config_of(_MODEL)
        )

    def call_model(self, key: str, attempt: int, request: ModelCall) -> ModelTurn:
        """Reply as the script says; a turn that was made is not made again."""
        turn_id = oid("turn", request.conversation.head, request.variant)
        if turn_id not in self._journal:
            self._model_failures(key, attempt)
            self._journal[turn_id] = self._turn(turn_id, request)
        turn = self._journal[turn_id]
        assert isinstance(turn, ModelTurn)
        return turn

    def _model_failures(self, key: str, attempt: int) -> None:
        dead = self._scenario.world.dead_model
        if dead is not None and self._now() > dead:
            raise failed(FailureKind.CREDENTIALS, "the key is not valid")
        if self._during(self._scenario.world.overload):
            raise failed(FailureKind.OVERLOADED, "overloaded")
        draw = self._chance(key, attempt).random()
        trouble = self._scenario.manners.trouble
        if draw < trouble / 3:
            raise failed(FailureKind.RATE_LIMITED, "slowly", retry_after_seconds=30)
        if draw < trouble / 2:
            raise failed(FailureKind.OVERLOADED, "overloaded")
        if draw < trouble * 0.51:
            raise failed(FailureKind.SPEND_LIMIT, "no money")

    def _turn(self, turn_id: str, request: ModelCall) -> ModelTurn:
        chance = self._chance(turn_id)
        before = request.conversation
        log = script.round_of(request, self._logs.get(before.head, script.Log()))
        made = script.reply(self._scenario, request, log, chance=chance)
        read = before.context_tokens + chance.randint(200, 7_000)
        usage = Usage(
            input_tokens=max(read, 4_000),
            output_tokens=chance.randint(20, min(request.max_output_tokens, 1_500)),
        )
        cost = models.cost_microusd(models.facts(_MODEL), usage)
        self.ledger.spent += cost
        uses = tuple(
            ToolUse(
                id=f"use-{turn_id[:8]}-{number}",
                name=use.name,
                arguments=None if use.problem else self.memory.blob(use.arguments),
                subject=use.subject,
                problem=use.problem,
                effect=effect_of(use.name),
                verdict=None if use.problem else verdict_of(use.name, use.subject),
            )
            for number, use in enumerate(made.uses)
        )
        conversation = before
        if not made.discarded:
            conversation = before.model_copy(
                update={
                    "head": turn_id,
                    "turns": before.turns + 1,
                    "context_tokens": usage.context_tokens,
                    "open_calls": tuple(use.id for use in uses),
                }
            )
            self._logs[turn_id] = script.after(log, made)
        return ModelTurn(
            conversation=conversation,
            stop_reason=made.stop,
            tool_uses=uses,
            finish=made.finish,
            says=made.says,
            usage=usage,
            cost_microusd=cost,
            model=_MODEL,
            discarded=made.discarded,
        )

    def _fence(self, key: str, attempt: int, lease: WorktreeLease) -> None:
        if self._chance("lost", key, attempt).random() < self._scenario.world.lost_worktree:
            self.memory.release(lease.worktree, lease.epoch)
            raise failed(FailureKind.FENCED, "somebody deleted the worktree")
        if not self.memory.holds(lease.worktree, lease.epoch):
            self.ledger.fenced += 1
            raise failed(FailureKind.FENCED, "a later holder has the worktree")

    def read_files(self, key: str, attempt: int, request: ReadCall) -> ReadResults:
        """Read."""
        self._fence(key, attempt, request.lease)
        output = self.memory.blob("text")
        return ReadResults(
            results=tuple(
                ToolResult(call_id=call, outcome=ToolOutcome.DONE, output=output)
                for call, _, _ in request.calls
            )
        )

    def apply_edit(self, key: str, attempt: int, request: ToolCall) -> ToolResult:
        """Change one path, once."""
        return self._tool(key, attempt, request)

    def run_command(self, key: str, attempt: int, request: ToolCall) -> ToolResult:
        """Run a command that changes nothing."""
        return self._tool(key, attempt, request)

    def call_tool(self, key: str, attempt: int, request: ToolCall) -> ToolResult:
        """Carry out a tool of any name."""
        return self._tool(key, attempt, request)

    def judge_plan(self, _key: str, _attempt: int, request: JudgePlan) -> PlanJudgement:
        """Judge a plan by the rules of today."""
        return plan.judge(request.output, limits.PLAN)

    def judge_review(self, _key: str, _attempt: int, request: JudgeReview) -> ReviewJudgement:
        """Judge a review by the rules of today."""
        finish = ReviewFinish.model_validate_json(request.output) if request.output else None
        return verdict.decide(
            request.item,
            finish,
            request.patch,
            rounds_left=request.rounds_left,
            blocking_priority=limits.BLOCKING_PRIORITY,
        )

    def _tool(self, key: str, attempt: int, request: ToolCall) -> ToolResult:
        recorded = self._journal.get(request.call_id)
        if isinstance(recorded, ToolResult):
            return recorded
        self._fence(key, attempt, request.lease)
        self._room()
        checkpoint = request.expected
        if request.tool == "edit":
            change = json.loads(self.memory.blobs[request.arguments])
            tree = {**self.memory.tree(request.expected), change["path"]: change["content"]}
            checkpoint = self.memory.commit(tree, request.expected, note=request.call_id)
        failing = self._chance(request.call_id).random() < 0.1
        result = ToolResult(
            call_id=request.call_id,
            outcome=ToolOutcome.FAILED if failing else ToolOutcome.DONE,
            output=self.memory.blob(f"output of {request.call_id}"),
            checkpoint=checkpoint,
        )
        self._journal[request.call_id] = result
        return result

    def run_checks(self, key: str, attempt: int, request: RunChecks) -> ChecksReport:
        """Run commands until one is red."""
        self._room()
        if self._scenario.world.dead_sandbox:
            raise failed(FailureKind.SANDBOX, "the sandbox does not hold")
        tree_id = self.memory.commits[request.commit].tree
        results: list[CheckResult] = []
        for command in request.commands:
            passed = self._check(tree_id, command, request.fresh)
            results.append(CheckResult(command=command, exit_code=int(not passed), seconds=1.0))
            if not passed:
                break
            self.ledger.green.setdefault((tree_id, command), self._now())
        return ChecksReport(
            commit=request.commit,
            tree=tree_id,
            results=tuple(results),
            log=self.memory.blob(f"log of {tree_id}"),
        )

    def _check(self, tree_id: str, command: str, fresh: int) -> bool:
        """Return a command's recorded outcome, or its new one; a rerun that passes is believed."""
        own = f"check {tree_id} {command} {fresh}"
        if own not in self._journal:
            flaky = self._chance(own).random() < self._scenario.world.flaky
            passed = not flaky and self._passes(self.memory.trees[tree_id], command)
            self._journal[own] = passed
            if passed and fresh:
                self._journal[f"check {tree_id} {command} 0"] = True
        return bool(self._journal[own])

    def _passes(self, tree: Tree, command: str) -> bool:
        verb, what = command.split(" ", 1)
        if verb == "make":
            return not any(each.startswith(("bad", MARKED)) for each in tree.values())
        if not tree.get(f"{what}/main", "").startswith("good"):
            return False
        for pair in self._scenario.world.semantic:
            first = [tree.get(f"{task}/main", "").endswith(" 1") for task in pair]
            if what in pair and all(first):
                return False
        return True

    def make_patch(self, key: str, attempt: int, request: MakePatch) -> Patch:
        """Make one commit on the base."""
        self._room()
        memory = self.memory
        tree, old = memory.tree(request.checkpoint), memory.tree(request.base)
        commit = request.base
        if tree != old:
            commit = memory.commit(tree, request.base, note=request.message)
        paths = memory.changed(request.base, commit)
        outside = tuple(path for path in paths if not in_scope(path, request.writes))
        return judged(
            request,
            Patch(
                task=request.task,
                round=request.round,
                base=request.base,
                commit=commit,
                tree=memory.commits[commit].tree,
                patch_id=oid("patch", request.base, commit),
                files=len(paths),
                added_lines=len(paths),
                deleted_lines=0,
                paths=paths,
                outside=outside,
                risks=risks(paths, added=len(paths), deleted=0, outside=outside, deleted_tests=()),
                markers=tuple(
                    path
                    for path in paths
                    if tree.get(path, "").startswith(MARKED)
                    and not old.get(path, "").startswith(MARKED)
                ),
                diff=memory.blob(f"diff of {commit}"),
            ),
        )

    def rebase_patch(self, key: str, attempt: int, request: RebasePatch) -> RebasedPatch:
        """Put a patch on the target's tip, markers included."""
        tip = self.memory.tips[request.repository.target]
        merged = self.memory.merge(tip, request.patch.commit)
        checkpoint = tip
        if merged.tree != self.memory.tree(tip):
            checkpoint = self.memory.commit(merged.tree, tip, note="rebased")
        return RebasedPatch(tip=tip, checkpoint=checkpoint, conflicts=merged.conflicts)

    def build_chain(self, key: str, attempt: int, request: BuildChain) -> Chain:
        """Stack patches on the tip."""
        self._room()
        tip = top = self.memory.tips[request.repository.target]
        links: list[ChainLink] = []
        for patch_id, commit in request.patches:
            link = self._link(patch_id, commit, tip=tip, top=top)
            top = link.commit or top
            links.append(link)
        return Chain(tip=tip, links=tuple(links))

    def _link(self, patch_id: str, commit: str, *, tip: str, top: str) -> ChainLink:
        memory = self.memory
        if memory.commits[commit].parents[:1] == (top,):
            return ChainLink(id=patch_id, commit=commit)
        merged = memory.merge(top, commit)
        if not merged.conflicts:
            return ChainLink(id=patch_id, commit=memory.commit(merged.tree, top, commit))
        alone = memory.merge(tip, commit)
        return ChainLink(id=patch_id, conflicts=merged.conflicts, with_tip=bool(alone.conflicts))

    def land_chain(self, key: str, attempt: int, request: LandChain) -> Landed:
        """
        Move the target if it stands where the chain was built; a repeat finds it moved already.
        """
        memory, target = self.memory, request.repository.target
        landing = request.candidate
        if memory.commits[landing].parents[:1] != (request.tip,):
            tree = memory.tree(request.candidate)
            landing = memory.commit(tree, request.tip, request.candidate, note="land")
        self._somebody_else(key, attempt, target)
        if memory.tips[target] == landing:
            return Landed(commit=landing)
        if memory.tips[target] != request.tip:
            return Landed(commit=None)
        memory.tips[target] = landing
        tree_id = memory.commits[landing].tree
        self.ledger.landings.append(Landing(target, landing, tree_id, request.titles))
        return Landed(commit=landing)

    def _somebody_else(self, key: str, attempt: int, target: str) -> None:
        """Move the target once between a test and its landing."""
        wanted = self._chance("moved", key).random() < self._scenario.world.moved
        if wanted and attempt == 1 and not self._moved:
            self._moved = True
            tip = self.memory.tips[target]
            tree = {**self.memory.tree(tip), "other": "by somebody else"}
            self.memory.tips[target] = self.memory.commit(tree, tip, note="somebody else")

    def reconcile(self, key: str, attempt: int, request: Reconcile) -> ReconcileReport:
        """Free what belongs to workflows that have ended."""
        ended = [
            holder
            for holder in self.memory.leases
            if holder.split(" to ", 1)[0] not in self._open()
        ]
        for holder in ended:
            del self.memory.leases[holder]
        for branch, owner in list(self.memory.claims.items()):
            if owner not in self._open():
                del self.memory.claims[branch]
        return ReconcileReport(
            host_id=request.host_id,
            dry_run=False,
            leases=len(ended),
            mended=tuple(ended),
            left=(),
        )

    def enqueue_patch(self, key: str, attempt: int, request: EnqueuePatch) -> None:
        """Signal the queue, starting it when it does not run; never for a sender that has ended."""
        if request.queued.reply_to not in self._open():
            return
        start = MergeQueueStart(repository=request.queued.repository, limits=request.limits)
        self._enqueue(request.queue_id, start, request.queued)


def _holder(request: LeaseWorktree | ReleaseWorktree) -> str:
    return f"{request.owner} to {request.purpose}"
