"""The fakes as a seed drives them: an attempt at a time, with the faults that a scenario names."""

import random
from collections.abc import Callable, Collection, Coroutine
from dataclasses import replace
from typing import Any

from temporalio.exceptions import ApplicationError

from activities.failures import call_failed, failed
from contracts.checks import RunChecks
from contracts.failures import FailureKind
from contracts.merge_queue import MergeQueueStart, QueuedPatch
from contracts.model import ModelCall, Usage
from contracts.ports import PORTS
from domain.agent import models
from infra.anthropic.client import ModelServiceError
from tests.fakes.model import MODEL, FakeModel, ScriptedReply
from tests.fakes.patches import FakePatches
from tests.fakes.ports import FakePorts
from tests.fakes.store import MARKED
from tests.simulation import goals, script
from tests.simulation.adapter import activity_types
from tests.simulation.attempts import Activity
from tests.simulation.retries import Kept
from tests.simulation.scenario import Scenario

_WRITES = frozenset({"apply_edit", "run_command", "call_tool"})
_TOOLS = _WRITES | {"read_files"}
_IN_SANDBOX = frozenset({"run_checks", "survey_base", "look_up_commands"})
_NEED_ROOM = _WRITES | {
    "lease_worktree",
    "release_worktree",
    "run_checks",
    "survey_base",
    "look_up_commands",
    "make_patch",
    "build_chain",
}
"""Activities that write to the disk."""


class SimulatedActivities(FakePorts):
    """All activities of one simulation.

    Args:
        now: simulated seconds.
        enqueue: signal-with-start of a merge queue: its id, its start, the patch.
        running: workflow ids of what is open.
        model, patches: the fakes of their ports, for planted bugs.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        now: Callable[[], float],
        enqueue: Callable[[str, MergeQueueStart, QueuedPatch], None],
        running: Callable[[], Collection[str]],
        model: type[FakeModel] = FakeModel,
        patches: type[FakePatches] = FakePatches,
    ) -> None:
        async def enqueue_for_sender(
            queue_id: str, start: MergeQueueStart, patch: QueuedPatch
        ) -> None:
            """Never for a sender that has ended."""
            if patch.reply_to in running():
                enqueue(queue_id, start, patch)

        super().__init__(
            "host-1",
            before=self._interfere,
            replies=self._reply,
            enqueue=enqueue_for_sender,
            running=running,
            model=model,
            patches=patches,
        )
        self.tools.fails = lambda call: self._chance(call.call_id).random() < 0.1
        self.checks.passes = self._passes
        self.checks.failing = self._failing
        self.kept = Kept(landings=self.patches.landings)
        self._scenario = scenario
        self._now = now
        self._logs: dict[str, script.Log] = {}
        self._moved = False
        self._key, self._attempt = "", 0

    def table(self) -> dict[str, tuple[Activity, type]]:
        """Return every activity of every port by its name, with its argument's type."""
        found: dict[str, tuple[Activity, type]] = {}
        for port in PORTS:
            for method in sorted(port.__abstractmethods__):
                name, hint = activity_types(getattr(port, method))
                found[name] = (self._driven(getattr(self.of(port), method)), hint)
        return found

    def _driven(self, method: Callable[[Any], Coroutine[Any, Any, object]]) -> Activity:
        """Return an activity that is run to its end at once: in a simulation nothing is awaited."""

        def run(key: str, attempt: int, request: Any) -> object:
            self._key, self._attempt = key, attempt
            try:
                method(request).send(None)
            except StopIteration as ended:
                return ended.value
            raise RuntimeError(f"{method} waits for something outside the simulation")

        return run

    def _chance(self, *parts: object) -> random.Random:
        return random.Random(" ".join(map(str, (self._scenario.seed, *parts))))

    def _during(self, window: tuple[float, float]) -> bool:
        start, end = window
        return start < self._now() < end

    async def _interfere(self, name: str, request: Any) -> None:
        """Let an attempt fail, or something happen just before its effect."""
        outside = self._scenario.outside
        self.kept.asked(request)
        if name in _TOOLS:
            self._lose_worktree(request.lease.worktree, request.lease.epoch)
        if name in _NEED_ROOM and self._during(outside.full_disk):
            raise failed(FailureKind.DISK, "no room left on the disk")
        if name == "open_repository" and self._chance("refused").random() < 0.01:
            raise failed(FailureKind.REFUSED, "there is no repository")
        if name in _IN_SANDBOX and outside.dead_sandbox:
            raise failed(FailureKind.SANDBOX, "the sandbox does not hold")
        if name == "call_model":
            self._fail_model_call(request)
        if name == "land_chain":
            self._move_target(request.repository.target)

    def _lose_worktree(self, worktree: str, epoch: int) -> None:
        odds = self._scenario.outside.lost_worktree
        if odds and self._chance("lost", self._key, self._attempt).random() < odds:
            self.store.release(worktree, epoch)
            raise failed(FailureKind.FENCED, "the worktree was deleted")

    def _fail_model_call(self, request: ModelCall) -> None:
        outside = self._scenario.outside
        if outside.dead_model is not None and self._now() > outside.dead_model:
            raise failed(FailureKind.MODEL_REQUEST, "every request is rejected")
        if self._during(outside.overload):
            kinds = (FailureKind.OVERLOADED, FailureKind.CREDENTIALS, FailureKind.SPEND_LIMIT)
            raise failed(self._chance("outage").choice(kinds), "no reply for now")
        draw = self._chance(self._key, self._attempt).random()
        flawed = self._scenario.manners.flawed
        if draw < flawed / 3:
            raise failed(FailureKind.RATE_LIMITED, "slowly", retry_after_seconds=30)
        if draw < flawed / 2:
            raise failed(FailureKind.OVERLOADED, "overloaded")
        if draw < flawed * 0.51:
            raise failed(FailureKind.SPEND_LIMIT, "no money")
        odd = self._scenario.oddities
        late = odd.unreadable_from is not None and self._now() > odd.unreadable_from
        if late or 0 < odd.unreadable > self._chance("unreadable", self._key).random():
            raise self._unreadable(request)

    def _unreadable(self, request: ModelCall) -> ApplicationError:
        """Return the failure of a call that may have to be paid for, though no reply came of it."""
        read = request.conversation.context_tokens + 4_000
        usage = Usage(input_tokens=read, output_tokens=min(request.max_output_tokens, 300))
        error = ModelServiceError(FailureKind.MALFORMED, "the reply is no JSON", usage=usage)
        cost = models.cost_microusd(models.facts(MODEL), usage)
        self.kept.lost += cost
        return call_failed(error, cost_microusd=cost)

    def _move_target(self, target: str) -> None:
        """Move the target once between a test and its landing."""
        odds = self._scenario.outside.moved
        if self._moved or self._attempt > 1 or not odds:
            return
        if self._chance("moved", self._key).random() < odds:
            self._moved = True
            self.store.move(target, "other", "by another process")

    async def _reply(self, turn_id: str, request: ModelCall) -> ScriptedReply:
        chance = self._chance(turn_id)
        before = request.conversation
        log = script.round_of(request, self._logs.get(before.head, script.Log()))
        reply = script.reply(self._scenario, request, log, chance=chance)
        read = before.context_tokens + chance.randint(200, 7_000)
        usage = Usage(
            input_tokens=max(read, 4_000),
            output_tokens=chance.randint(20, min(request.max_output_tokens, 1_500)),
        )
        if not reply.discarded:
            self._logs[turn_id] = script.after(log, reply)
        cost = models.cost_microusd(models.facts(MODEL), usage)
        self.kept.bought(request, cost)
        return replace(reply, usage=usage, cost_microusd=cost)

    def _passes(self, request: RunChecks, command: str) -> bool:
        commit = self.store.commits[request.commit]
        draw = self._chance(f"check {commit.tree} {command} {request.fresh}").random()
        if draw < self._scenario.outside.flaky:
            return False
        tree = self.store.trees[commit.tree]
        verb, what = command.split(" ", 1)
        if verb == "reach":
            return goals.reached(tree) >= int(what)
        if verb == "test" and what in self._scenario.oddities.needless:
            return not tree.get(f"{what}/main", "").startswith("bad")
        if verb == "make":
            return not any(each.startswith(("bad", MARKED)) for each in tree.values())
        if not tree.get(f"{what}/main", "").startswith("good"):
            return False
        for pair in self._scenario.outside.semantic:
            first = [tree.get(f"{task}/main", "").endswith(" 1") for task in pair]
            if what in pair and all(first):
                return False
        return True

    def _failing(self, request: RunChecks, command: str) -> tuple[str, ...]:
        """Return the steps that a goal's command lacks; no other command names what fails."""
        verb, what = command.split(" ", 1)
        tree = self.store.trees[self.store.commits[request.commit].tree]
        return goals.lacking(tree, int(what)) if verb == "reach" else ()
