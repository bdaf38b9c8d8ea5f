"""One fake for each port, all on the same store; policy has no effect and is the real one."""

from abc import ABC
from collections.abc import Callable, Collection

from activities.policy import CurrentPolicy
from tests.fakes.calls import Before
from tests.fakes.checks import FakeChecks
from tests.fakes.continuation import FakeContinuations
from tests.fakes.estimates import FakeEstimates
from tests.fakes.merge_queue import Enqueue, FakeMergeQueue
from tests.fakes.model import FakeModel, Replies
from tests.fakes.patches import FakePatches
from tests.fakes.permissions import FakePermissions
from tests.fakes.reconcile import FakeReconciler
from tests.fakes.repository import FakeRepositories
from tests.fakes.setup import FakeSetups
from tests.fakes.store import MemoryStore
from tests.fakes.survey import FakeSurveys
from tests.fakes.tools import FakeTools
from tests.fakes.worktrees import FakeWorktrees


class FakePorts:
    """Everything that workflows reach.

    Args:
        before: runs before each call's effect.
        replies: the model's.
        enqueue: signal-with-start of a merge queue.
        running: the workflow ids that are open.
    """

    def __init__(
        self,
        host_id: str,
        *,
        before: Before,
        replies: Replies,
        enqueue: Enqueue,
        running: Callable[[], Collection[str]] = tuple,
        model: type[FakeModel] = FakeModel,
        patches: type[FakePatches] = FakePatches,
    ) -> None:
        self.store = store = MemoryStore(host_id)
        self.model = model(store, before, replies)
        self.repositories = FakeRepositories(store, before)
        self.worktrees = FakeWorktrees(store, before)
        self.tools = FakeTools(store, before)
        self.checks = FakeChecks(store, before)
        self.surveys = FakeSurveys(store, before)
        self.setups = FakeSetups(store, before)
        self.policy = CurrentPolicy()
        self.permissions = FakePermissions(store, before)
        self.patches = patches(store, before)
        self.estimates = FakeEstimates(store, before)
        self.continuations = FakeContinuations(store, before)
        self.merge_queue = FakeMergeQueue(store, before, enqueue)
        self.reconciler = FakeReconciler(store, before, running)

    def of(self, port: type[ABC]) -> ABC:
        """The fake of a port."""
        (fake,) = [each for each in vars(self).values() if isinstance(each, port)]
        return fake
