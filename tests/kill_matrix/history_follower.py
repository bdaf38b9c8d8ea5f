"""Following a request: every event of every workflow that belongs to it, as soon as it is there."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client
from temporalio.service import RPCError
from typing_extensions import override

from domain import ids

_PAUSE_SECONDS = 0.1
_ACTIVITY = "ACTIVITY_TASK_"


@dataclass(frozen=True)
class HistoryPoint:
    """A place in a request's life that can be found again in another run of it.

    Attributes:
        workflow: its id behind the request's; "" is the request itself, "merge" its queue.
        kind: the event's type.
        about: the activity, signal or child that the event tells of; "" for none.
        number: which of the same in this workflow, counted from 1.
    """

    workflow: str
    kind: str
    about: str
    number: int

    @override
    def __str__(self) -> str:
        """Return it in one word for a line of output."""
        about = f"({self.about})" if self.about else ""
        return f"{self.workflow or '/'}:{self.kind.lower()}{about}#{self.number}"


@dataclass
class History:
    """One workflow's events, oldest first, and its points in the same order."""

    workflow_id: str
    events: list[HistoryEvent] = field(default_factory=list)
    points: list[HistoryPoint] = field(default_factory=list)

    def scheduled(self, event: HistoryEvent) -> HistoryEvent:
        """Return the event that scheduled the activity which this event tells of."""
        attributes = attributes_of(event)
        return self.events[int(attributes.scheduled_event_id) - 1]


class Follower:
    """Reads histories while they grow, a server that is away meanwhile included.

    Args:
        appeared: called with each point as it appears.

    Attributes:
        histories: by workflow id, the request's own first.
        points: of all of them, in the order in which they appeared here.
    """

    def __init__(
        self, client: Client, request_id: str, *, appeared: Callable[[HistoryPoint], None]
    ) -> None:
        self._client = client
        self._request_id = request_id
        self._appeared = appeared
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._queue_id: str | None = None
        self.repository: dict[str, Any] = {}
        self.histories: dict[str, History] = {}
        self.points: list[HistoryPoint] = []
        self._follow(request_id)

    async def ended(self, *, seconds: float) -> None:
        """Wait until every workflow of the request has ended."""
        async with asyncio.timeout(seconds):
            while any(not task.done() for task in self._tasks.values()):
                await asyncio.gather(*self._tasks.values())

    async def close(self) -> None:
        """Stop following."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _follow(self, workflow_id: str) -> None:
        if workflow_id not in self._tasks:
            history = self.histories[workflow_id] = History(workflow_id)
            self._tasks[workflow_id] = asyncio.create_task(self._read(history))

    async def _read(self, history: History) -> None:
        handle = self._client.get_workflow_handle(history.workflow_id)
        while True:
            with contextlib.suppress(RPCError):
                async for event in handle.fetch_history_events(wait_new_event=True):
                    if event.event_id == len(history.events) + 1:
                        self._take(history, event)
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    def _take(self, history: History, event: HistoryEvent) -> None:
        history.events.append(event)
        kind = EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")
        about = self._about(history, event, kind)
        short = history.workflow_id.removeprefix(self._request_id)
        workflow = "merge" if history.workflow_id == self._queue_id else short
        alike = sum((p.kind, p.about) == (kind, about) for p in history.points)
        point = HistoryPoint(workflow, kind, about, alike + 1)
        history.points.append(point)
        self.points.append(point)
        self._learn(history, event, point)
        self._appeared(point)

    def _about(self, history: History, event: HistoryEvent, kind: str) -> str:
        attributes = attributes_of(event)
        if kind.startswith(_ACTIVITY):
            if kind != "ACTIVITY_TASK_SCHEDULED":
                attributes = attributes_of(history.scheduled(event))
            return str(attributes.activity_type.name)
        if kind.startswith(("CHILD_WORKFLOW_", "START_CHILD_")):
            child = (
                getattr(attributes, "workflow_id", "") or attributes.workflow_execution.workflow_id
            )
            return str(child).removeprefix(self._request_id)
        return str(getattr(attributes, "signal_name", ""))

    def _learn(self, history: History, event: HistoryEvent, point: HistoryPoint) -> None:
        """Follow the workflows that an event makes known."""
        if point.kind == "CHILD_WORKFLOW_EXECUTION_STARTED":
            self._follow(attributes_of(event).workflow_execution.workflow_id)
        elif point.kind == "ACTIVITY_TASK_COMPLETED" and point.about == "open_repository":
            self.repository = payloads(attributes_of(event).result)[0]["repository"]
            self._queue_id = ids.queue_id(self.repository["key"], self.repository["target"])
        elif point.kind == "ACTIVITY_TASK_COMPLETED" and point.about == "enqueue_patch":
            assert self._queue_id is not None
            self._follow(self._queue_id)


async def every_run(client: Client, request_id: str) -> list[History]:
    """Return the histories of all runs of a request, its tasks, agents and merge queue."""
    query = f'WorkflowId="{request_id}" OR WorkflowId STARTS_WITH "{request_id}/"'
    runs = [run async for run in client.list_workflows(query)]
    found = [await _whole(client, run.id, run.run_id) for run in runs]
    opened = next(filter(None, map(repository_of, found)), None)
    if opened is not None:
        queue = ids.queue_id(opened["key"], opened["target"])
        runs = [run async for run in client.list_workflows(f'WorkflowId="{queue}"')]
        found += [await _whole(client, run.id, run.run_id) for run in runs]
    return found


async def _whole(client: Client, workflow_id: str, run_id: str) -> History:
    handle = client.get_workflow_handle(workflow_id, run_id=run_id)
    return History(workflow_id, [event async for event in handle.fetch_history_events()])


def repository_of(history: History) -> dict[str, Any]:
    """Return the repository that a history opened, {} when it opened none."""
    for event in history.events:
        if kind_of(event) != "ACTIVITY_TASK_COMPLETED":
            continue
        if attributes_of(history.scheduled(event)).activity_type.name == "open_repository":
            return dict(payloads(attributes_of(event).result)[0]["repository"])
    return {}


def attributes_of(event: HistoryEvent) -> Any:
    """Return what is special to an event's type."""
    return getattr(event, event.WhichOneof("attributes") or "")


def payloads(given: Any) -> list[Any]:
    """Return the JSON values of some payloads."""
    return [json.loads(payload.data) for payload in given.payloads if payload.data]


def seconds_of(event: HistoryEvent) -> float:
    """Return when an event was written, in seconds since the epoch by the server's clock."""
    return float(event.event_time.ToNanoseconds()) / 1e9


def kind_of(event: HistoryEvent) -> str:
    """Return an event's type as points name it."""
    return EventType.Name(event.event_type).removeprefix("EVENT_TYPE_")


def every_event(histories: Sequence[History]) -> Iterator[tuple[History, HistoryEvent]]:
    """Yield each event with its history."""
    for history in histories:
        for event in history.events:
            yield history, event
