"""Tasks that go on from a turn: with what a test says."""

from temporalio import activity
from typing_extensions import override

from activities.failures import failed
from contracts.continuation import AttemptsTold, Continuation, ContinueTask, TellAttempts
from contracts.failures import FailureKind
from contracts.ports import ContinuationActivities
from contracts.store import ConversationRef
from contracts.task import EarlierAttempt
from domain import ids
from tests.fakes.calls import Before, Fake
from tests.fakes.model import MODEL
from tests.fakes.store import BASE, MemoryStore


class FakeContinuations(Fake, ContinuationActivities):
    """Goes on from every turn.

    Attributes:
        commit: the state of the files after it.
        tried: what every agent has tried.
        refused: the sentence by which every turn is refused; "" for none.
    """

    def __init__(self, store: MemoryStore, before: Before) -> None:
        super().__init__(store, before)
        self.refused = ""
        self.commit = BASE
        self.tried = "Commands, as each ended last:\n- `make`: exit code 2"

    @override
    @activity.defn
    async def tell_attempts(self, request: TellAttempts) -> AttemptsTold:
        await self._before("tell_attempts", request)
        return AttemptsTold(text=self.tried)

    @override
    @activity.defn
    async def continue_task(self, request: ContinueTask) -> EarlierAttempt:
        await self._before("continue_task", request)
        if self.refused:
            raise failed(FailureKind.REFUSED, self.refused)
        task = request.choice.fork or request.choice.task
        conversation = ConversationRef(
            id=ids.digest(request.parent, task), head=BASE, turns=1, model=MODEL
        )
        return EarlierAttempt(
            number=request.before,
            reason="goes on after turn 1",
            commit=self.commit,
            rounds=1,
            continues=Continuation(conversation=conversation, message="You are back."),
        )
