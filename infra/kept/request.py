"""One request as the store of this host keeps it: how it was opened, its end, its agents' work."""

import json
from pathlib import Path

from contracts.base import ObjectId
from contracts.checks import CheckResult
from contracts.permissions import AllowedRules, RequestPermissions
from contracts.repository import RepositoryOpened
from contracts.request import RequestEnded
from contracts.spending import AgentOpened, Spending
from domain import ids
from domain.policy.answered import with_allowed
from infra.kept import agents as kept_agents
from infra.kept import resuming
from infra.kept.changes import Change, request_change, task_change
from infra.kept.continuing import last_sound
from infra.kept.handed_folder import FolderError, hand_out, taken_in
from infra.kept.places import store_of
from infra.kept.spending import SpendingReader
from infra.kept.task_turns import TaskTurn, task_turns
from infra.kept.turn_states import RequestTurns
from infra.kept.turns import AgentLog, LoggedTurn
from infra.store import ObjectMissing, Store, StoreError, journal, records
from infra.store.object_format import SYSTEM
from infra.store.open_stores import OpenStores

__all__ = ["FolderError", "KeptRequest", "KeptRequests", "ObjectMissing", "StoreError"]


class KeptRequests:
    """The requests that the stores of this host keep; a store is opened once it is needed."""

    def __init__(self, stores: Path) -> None:
        self._root = stores
        self._stores = OpenStores(stores)
        self._requests: dict[str, KeptRequest] = {}

    async def find(self, request_key: str) -> "KeptRequest | None":
        """Return a request; None while no store of this host has it.

        Raises:
            StoreError: its store cannot be opened.
        """
        if request_key not in self._requests:
            store = store_of(self._root, request_key)
            if store is None:
                return None
            opened = await self._stores.get(store.name.removesuffix(".git"))
            self._requests[request_key] = KeptRequest(opened, request_key)
        return self._requests[request_key]

    async def close(self) -> None:
        """End the git processes of every store."""
        await self._stores.close()


class KeptRequest:
    """What the store keeps of one request. Only reads.

    Every method raises StoreError or ObjectMissing when the store cannot be read.
    """

    def __init__(self, store: Store, key: str) -> None:
        self.store = store
        self.key = key
        self._spending = SpendingReader()
        self._logs: dict[str, AgentLog] = {}

    async def ended(self) -> RequestEnded | None:
        """Return how it ended and what it cost; None while it is open, or was terminated.

        One that is retried is open again.
        """
        if self.store.ref(ids.open_ref(self.key)) is not None:
            return None
        return await records.read(self.store, ids.ended_ref(self.key), RequestEnded)

    async def last_end(self, request_id: str) -> RequestEnded | None:
        """Return how its last attempt ended, cut off or not; None when it left no end at all."""
        return await resuming.last_end(self.store, self.key, request_id)

    async def opened(self) -> RepositoryOpened | None:
        """Return what opening its repository came to."""
        return await records.read(self.store, ids.opened_ref(self.key), RepositoryOpened)

    async def permissions(self) -> RequestPermissions:
        """Return what its agents may do: as it was opened, and by what answers have allowed."""
        found = await records.read(self.store, ids.permissions_ref(self.key), RequestPermissions)
        allowed = await records.read(self.store, ids.allowed_ref(self.key), AllowedRules)
        return with_allowed(found or RequestPermissions(), allowed.rules if allowed else ())

    async def spending(self) -> tuple[Spending, ...]:
        """Return what it has spent so far, by task, role and model."""
        ended = await self.ended()
        return ended.spent if ended else await self._spending.of_request(self.store, self.key)

    async def agents(self) -> list[AgentOpened]:
        """Return its agents in the order in which they began."""
        return await kept_agents.agents(self.store, self.key)

    async def new_turns(self) -> list[LoggedTurn]:
        """Return the turns of all its agents since the last call, in the order of time."""
        fresh: list[LoggedTurn] = []
        for agent in await self.agents():
            name = agent.conversation
            log = self._logs.setdefault(name, AgentLog(self.store, agent))
            fresh += await log.new_turns()
        return sorted(fresh, key=lambda turn: turn.at)

    async def task_turns(self, task: str) -> list[TaskTurn]:
        """Return the turns of a task, numbered in the order of time."""
        return await task_turns(self.store, self.key, task, await self.agents())

    async def hand_out(self, task: str, commit: ObjectId | None, folder: Path) -> ObjectId:
        """Make a folder in which a person works on a task's files, at a commit or its last state.

        Raises:
            FolderError: nothing of it is left, or the folder cannot be used.
        """
        state = commit or await last_sound(self.store, self.key, task, await self.agents())
        if state is None:
            raise FolderError(f"the agent of {task!r} has made no turn yet: nothing is to be had")
        await hand_out(self.store, state, folder, task)
        return state

    async def take_in(self, folder: Path, message: str) -> ObjectId:
        """Commit what a person made in a folder, in the name of the request's author.

        Raises:
            FolderError: it cannot be committed.
        """
        author = await records.read_text(self.store, ids.author_ref(self.key))
        return await taken_in(folder, message, author or SYSTEM)

    async def undone(self) -> frozenset[str]:
        """Return the commits of the turns that do not count since their task went back."""
        agents = await self.agents()
        if all(agent.continues is None for agent in agents):
            return frozenset()
        found = await RequestTurns.read(self.store, self.key, agents)
        tasks = dict.fromkeys(agent.task for agent in agents if agent.task)
        return frozenset(commit for task in tasks for commit in found.undone(task))

    def turn_change(self, turn: TaskTurn) -> Change | None:
        """Return what a turn has changed; None when its agent changes nothing."""
        if not turn.before or not turn.checkpoint:
            return None
        return Change(self.store, turn.before, turn.checkpoint, f"turn {turn.number}")

    def tasks(self) -> list[str]:
        """Return the tasks of which a change is kept, by name."""
        folder = self.store.path / "refs" / "oc" / self.key / "task"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    async def request_change(self) -> Change | None:
        """Return what has landed, against the base; None when nothing is known of it."""
        opened = await self.opened()
        return await request_change(self.store, opened) if opened else None

    async def task_change(self, task: str, *, patched: bool) -> Change | None:
        """Return what a task has changed; None when it has changed nothing so far.

        `patched`: its last patch; else the last state of its worktree, where one is kept.
        """
        opened = await self.opened()
        if opened is None:
            return None
        coders = [each for each in await self.agents() if each.task == task]
        return await task_change(self.store, opened, task, coders, patched=patched)

    async def red_checks(self, task: str) -> list[CheckResult]:
        """Return the checks that fail on the last patch of a task, with the end of their output."""
        change = await self.task_change(task, patched=True)
        if change is None:
            return []
        tree = (await self.store.get_commit(change.after)).tree
        folder = ids.checks_ref(tree, "").rstrip("/")
        found = [await journal.recorded(self.store, ref) for ref in await self.store.refs(folder)]
        results = [CheckResult.model_validate(json.loads(one)["result"]) for one in found if one]
        return [result for result in results if not result.passed]
