"""Tasks that go on from a turn: what they begin with, as their workflow asks for it."""

from temporalio import activity
from typing_extensions import override

from activities.failures import failed, translated_failures
from contracts.continuation import MOST_ATTEMPTS, AttemptsTold, ContinueTask, TellAttempts
from contracts.failures import FailureKind
from contracts.ports import ContinuationActivities
from contracts.task import EarlierAttempt
from domain.handoff import telling
from domain.text import Redact, for_people
from infra.kept import continuing
from infra.kept.ledger import ledger_at
from infra.store.open_stores import OpenStores
from infra.store.soundness import CHECKPOINT_CORRUPTION


class TaskContinuations(ContinuationActivities):
    """Continuations by the stores of this host."""

    def __init__(self, stores: OpenStores, *, redact: Redact) -> None:
        self._stores = stores
        self._redact = redact

    @override
    @activity.defn
    async def tell_attempts(self, request: TellAttempts) -> AttemptsTold:
        """Return what an agent's ledger has as tried, without secrets."""
        store = await self._stores.get(request.repository.key)
        conversation = request.conversation
        async with translated_failures("reading what an agent has tried"):
            ledger = await ledger_at(store, conversation.head, conversation.window)
        told = for_people(self._redact(telling.tried(ledger)), MOST_ATTEMPTS - 100)
        return AttemptsTold(text=told[:MOST_ATTEMPTS])

    @override
    @activity.defn
    async def continue_task(self, request: ContinueTask) -> EarlierAttempt:
        """Return what a task begins with that goes on from a turn, and note it.

        Safe to repeat: what the first time came to stands.

        Raises:
            FailureKind.REFUSED: there is no such turn, or nothing of it is left.
        """
        store = await self._stores.get(request.repository.key)
        async with translated_failures("going on from a turn"):
            try:
                found = await continuing.continued(store, request)
            except continuing.NotContinuedError as error:
                raise failed(FailureKind.REFUSED, str(error)) from error
        if CHECKPOINT_CORRUPTION in found.reason:
            activity.logger.error(
                "checkpoint.corrupt",
                extra={
                    "error_class": CHECKPOINT_CORRUPTION,
                    "reason": f"{request.choice.task}: {found.reason}",
                },
            )
        return found
