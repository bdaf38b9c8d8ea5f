"""Retries: a request that has ended badly goes on, with what its earlier attempts have left."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from contracts import roles
from contracts.delivery import Delivered
from contracts.model import ModelCall
from contracts.repository import CloseRequest, OpenRepository
from contracts.request import RequestStatus
from contracts.resume import RequestResumed, Retry
from contracts.review import MakePatch
from contracts.task import TaskState
from contracts.visibility import RunState
from domain import ids
from domain.request import retry
from tests.fakes.model import agent_header
from tests.fakes.patches import TargetMove
from tests.fakes.store import MemoryStore
from tests.simulation.adapter import Command, Job
from tests.simulation.runs import Run
from tests.simulation.scenario import REQUEST_ID
from tests.simulation.temporal import SimulatedTemporal

_MORE_USD = 5.0


@dataclass
class Kept:
    """What the store of a simulation keeps of its request, as its activities were asked.

    Attributes:
        key: of the request's references.
        ended: how the last attempt that gave everything back ended.
        patches: what was asked of each task, oldest first.
        planners: agents that have planned, oldest first.
        spent: microUSD of turns by the agent that made them.
        lost: microUSD of calls without a usable reply.
        begun: with what the last retry began, and its attempt.
        last_status: how the last attempt ended, for a retry; None when it left no end.
        landings: of all attempts, oldest first.
    """

    key: str = ""
    ended: CloseRequest | None = None
    patches: dict[str, list[MakePatch]] = field(default_factory=dict)
    planners: list[str] = field(default_factory=list)
    spent: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    begun: tuple[RequestResumed, int] | None = None
    last_status: RequestStatus | None = None
    landings: Sequence[TargetMove] = ()

    def asked(self, request: object) -> None:
        """Keep what an activity was asked for."""
        if isinstance(request, OpenRepository):
            self.key = self.key or request.request_key
        elif isinstance(request, CloseRequest):
            self.ended = request
        elif isinstance(request, MakePatch):
            self.patches.setdefault(request.task, []).append(request)

    def bought(self, call: ModelCall, microusd: int) -> None:
        """Book a turn."""
        header = agent_header(call)
        self.spent[header["agent"]] += microusd
        if header["role"] == roles.PLANNER and header["agent"] not in self.planners:
            self.planners.append(header["agent"])

    def resumed(self, order: Retry) -> RequestResumed:
        """Return what an attempt begins with, as `infra.kept.resuming` does."""
        status = self.last_status = self._status(order.attempt)
        if status is None:
            return RequestResumed()
        closed = self.ended
        assert closed is not None
        left = {row.id: self._left(row.id) for row in status.tasks}
        rows = retry.rows(status, order, left)
        planner = ids.attempt_id(REQUEST_ID, order.attempt)
        if closed.plan is None and status.state is RunState.CANCELLED:
            planner = self.planners[-1].rpartition("/")[0] if self.planners else ""
        going_on = {row.workflow_id for row in rows if row.state is TaskState.PENDING}
        going_on |= set() if closed.plan else {planner or REQUEST_ID}
        found = RequestResumed(
            plan=closed.plan,
            approved=closed.approved,
            tasks=rows,
            planner=planner,
            notes=closed.notes,
            spent_microusd=self._settled({each for each in going_on if each}),
            delivered=_delivered(status),
            rounds=status.goal.rounds if status.goal else (),
        )
        self.begun = (found, order.attempt)
        return found

    def _status(self, attempt: int) -> RequestStatus | None:
        """Return how the last attempt ended; one that was ended by force counts as cut off."""
        if self.ended is None:
            return None
        status = RequestStatus.model_validate(self.ended.status)
        if self.begun and status.attempt < attempt - 1:
            cut = {"state": RunState.CANCELLED, "ending": None, "tasks": self.begun[0].tasks}
            return status.model_copy(update=cut)
        return status

    def _left(self, task: str) -> retry.Left:
        made = self.patches.get(task)
        if not made:
            return retry.Left()
        last = made[-1]
        commit = None if last.checkpoint == last.base else last.checkpoint
        newest = max(each.round for each in made)
        landed = next(
            (
                landing.commit
                for landing in self.landings
                if any(title.endswith(f"/{task}/{newest}") for title in landing.titles)
            ),
            None,
        )
        return retry.Left(commit, newest + 1, landed=landed)

    def _settled(self, going_on: set[str]) -> int:
        return self.lost + sum(
            microusd
            for agent, microusd in self.spent.items()
            if not any(agent.startswith(f"{each}/") for each in going_on)
        )


def _delivered(status: RequestStatus) -> Delivered | None:
    if not status.branch or not status.commit:
        return None
    return Delivered(branch=status.branch, commit=status.commit, diffstat=status.diffstat)


@dataclass
class RetryMonitor:
    """Watches an attempt: nothing that was done or only cancelled is begun anew.

    Attributes:
        before: how the attempt before ended; None when it left no end.
    """

    temporal: SimulatedTemporal
    before: RequestStatus | None

    def committed(self, run: Run, _jobs: Sequence[Job], commands: Sequence[Command]) -> None:
        """Look at the tasks that are started."""
        if run.kind != "RequestWorkflow" or self.before is None:
            return
        rows = {row.id: row for row in self.before.tasks}
        for command in commands:
            child = command.start_child_workflow_execution
            if not command.HasField("start_child_workflow_execution"):
                continue
            row = rows.get(child.workflow_id.rpartition("/")[2])
            if child.workflow_type != "SubtaskWorkflow" or row is None:
                continue
            if row.state is TaskState.DONE:
                self.temporal.violate(f"task {row.id}, which is done, runs again in a retry")
            goes_on = row.state is TaskState.CANCELLED and row.workflow_id is not None
            if goes_on and child.workflow_id != row.workflow_id:
                self.temporal.violate(
                    f"task {row.id}, which was cancelled, buys all its turns again as "
                    f"{child.workflow_id}"
                )


def lost_work(status: RequestStatus | None, store: MemoryStore) -> Iterable[str]:
    """Yield what the delivered tree lacks of the tasks that are done, of all attempts."""
    if status is None or status.state is not RunState.DONE or status.commit is None:
        return
    tree = store.tree(status.commit)
    for row in status.tasks:
        path = f"{row.id}/main"
        if row.commit and path in store.tree(row.commit) and path not in tree:
            yield f"the work of task {row.id} is not in what was delivered"


def payload_of(payload: Mapping[str, Any], kept: Kept, order: Retry) -> dict[str, Any]:
    """Return the input of an attempt, with more money than the one before had."""
    status = kept.last_status
    usd = max(status.budget_usd if status else 0.0, payload["budget_usd"])
    return {
        **payload,
        "budget_usd": usd + _MORE_USD,
        "resumes": kept.key,
        "retry": order.model_dump(mode="json"),
    }
