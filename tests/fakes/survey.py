"""A look at a request's base: the same survey for everybody, and what commands lack as told."""

from collections.abc import Callable

from temporalio import activity
from typing_extensions import override

from contracts.baseline import CommandsLookedUp, LookUpCommands, SurveyBase, Surveyed
from contracts.ports import SurveyActivities
from tests.fakes.calls import Before, Fake
from tests.fakes.store import MemoryStore


class FakeSurveys(Fake, SurveyActivities):
    """Finds every program.

    Attributes:
        lacks: what a command lacks, "" for nothing.
    """

    def __init__(self, store: MemoryStore, before: Before) -> None:
        super().__init__(store, before)
        self.lacks: Callable[[str], str] = lambda _command: ""

    @override
    @activity.defn
    async def survey_base(self, request: SurveyBase) -> Surveyed:
        await self._before("survey_base", request)
        return Surveyed(survey=self._store.blob(f"survey of {request.commit}"))

    @override
    @activity.defn
    async def look_up_commands(self, request: LookUpCommands) -> CommandsLookedUp:
        await self._before("look_up_commands", request)
        return CommandsLookedUp(lacks=tuple(self.lacks(each) for each in request.commands))
