"""Checks: commands that pass or fail on a commit's tree."""

from collections.abc import Callable

from temporalio import activity
from typing_extensions import override

from contracts.checks import CheckResult, ChecksReport, RunChecks
from contracts.ports import CheckActivities
from domain.check_results import compared
from tests.fakes.calls import Before, Fake
from tests.fakes.store import MemoryStore


class FakeChecks(Fake, CheckActivities):
    """Records each outcome by tree and command; a rerun that passes replaces a failure.

    Attributes:
        passes: whether one of a request's commands passes; by default every one does.
        failing: the tests that a red command names.
        exit_code: of a command that does not pass.
        passed: every (tree, command) that passed.
    """

    def __init__(self, store: MemoryStore, before: Before) -> None:
        super().__init__(store, before)
        self._journal: dict[tuple[str, str, str, int], bool] = {}
        self._red: set[tuple[str, str]] = set()
        self.passes: Callable[[RunChecks, str], bool] = lambda _request, _command: True
        self.exit_code = 1
        self.failing: Callable[[RunChecks, str], tuple[str, ...]] = lambda *_: ()
        self.passed: set[tuple[str, str]] = set()

    @override
    @activity.defn
    async def run_checks(self, request: RunChecks) -> ChecksReport:
        await self._before("run_checks", request)
        tree_id = self._store.commits[request.commit].tree
        results: list[CheckResult] = []
        for command in request.commands:
            passed = self._run(tree_id, request, command)
            result = CheckResult(
                command=command,
                exit_code=0 if passed else self.exit_code,
                seconds=1.0,
                flaked="(exit code 1)" if passed and (tree_id, command) in self._red else "",
                failing=() if passed else self.failing(request, command),
            )
            results.append(compared(result, request.failed_before))
            if not results[-1].acceptable:
                break
            if passed:
                self.passed.add((tree_id, command))
        return ChecksReport(
            commit=request.commit,
            tree=tree_id,
            results=tuple(results),
            log=self._store.blob(f"log of {tree_id}"),
        )

    def _run(self, tree_id: str, request: RunChecks, command: str) -> bool:
        key = (tree_id, command, request.by if request.fresh else "", request.fresh)
        if key not in self._journal:
            self._journal[key] = self.passes(request, command)
            if self._journal[key] and request.fresh:
                self._journal[tree_id, command, "", 0] = True
            elif not self._journal[key]:
                self._red.add((tree_id, command))
        return self._journal[key]
