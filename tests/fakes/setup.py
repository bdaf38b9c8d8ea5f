"""The setup of a request: it passes or fails as told, and installs nothing."""

from temporalio import activity
from typing_extensions import override

from contracts.checks import CheckResult
from contracts.ports import SetupActivities
from contracts.setup import RunSetup, SetupReport
from tests.fakes.calls import Before, Fake
from tests.fakes.store import MemoryStore


class FakeSetups(Fake, SetupActivities):
    """Runs every setup, unless a person refused it.

    Attributes:
        passes: whether its commands end well.
    """

    def __init__(self, store: MemoryStore, before: Before) -> None:
        super().__init__(store, before)
        self.passes = True

    @override
    @activity.defn
    async def run_setup(self, request: RunSetup) -> SetupReport:
        await self._before("run_setup", request)
        if request.allowed is False:
            return SetupReport(
                environment=request.repository.environment, notes=("It was refused.",)
            )
        results = tuple(
            CheckResult(command=each, exit_code=0 if self.passes else 1, seconds=1.0, tail="said")
            for each in request.setup.rule.commands
        )
        if not self.passes:
            return SetupReport(environment=None, results=results)
        return SetupReport(
            environment=self._store.blob("environment after the setup"),
            results=results,
            notes=("It ran.",),
        )
