"""Checks: commands that the system itself runs, on a clean checkout of one commit."""

from abc import ABC, abstractmethod
from typing import Final

from temporalio import activity

from contracts import wire_defaults
from contracts.base import Contract, ObjectId, ShortText
from contracts.store import RepositoryRef

CHECKS: Final = "checks"
"""The label of the output of checks where an agent is shown it."""


class FailedBefore(Contract):
    """A command that fails without the change which is judged, and the tests it named as failed."""

    command: str
    exit_code: int | None
    failing: tuple[ShortText, ...]


class RunChecks(Contract):
    """Ask for commands to be run on a commit, in a worktree without any leftovers.

    Each outcome is recorded by (tree, command, environment), of a deliberate rerun also by
    (`fresh`, `by`), and not found out again.

    Attributes:
        commands: run in order by bash, a pipe failing with any of its commands; the first that
            fails ends the run.
        timeout_seconds: for each command.
        fresh: counts deliberate reruns.
        by: who counts them: a task, the merge queue; "" = the request.
        failed_before: of these commands no more may fail than before; one that fails as it did
            ends no run.
    """

    repository: RepositoryRef
    commit: ObjectId
    commands: tuple[str, ...]
    timeout_seconds: int = wire_defaults.CHECK_SECONDS
    fresh: int = 0
    by: str = ""
    failed_before: tuple[FailedBefore, ...] = ()


class CheckResult(Contract):
    """One command's end.

    Attributes:
        exit_code: None when it was ended by a signal or the time limit.
        tail: the last lines of its output.
        limit: which limit ended it, its value and what to do; "" = none did.
        flaked: how it failed on this tree before a rerun passed; "" = that is not known of it.
        failing: the tests that its output names as failed, each once, in order; () when it names
            none, or too many to compare.
        as_before: it fails, in nothing that did not fail before.
        more: the tests that fail and did not before.
    """

    command: str
    exit_code: int | None
    seconds: float
    timed_out: bool = False
    tail: ShortText = ""
    limit: ShortText = ""
    flaked: ShortText = ""
    failing: tuple[ShortText, ...] = ()
    as_before: bool = False
    more: tuple[ShortText, ...] = ()

    @property
    def passed(self) -> bool:
        """True when the command ended by itself with exit code 0."""
        return self.exit_code == 0 and not self.timed_out

    @property
    def acceptable(self) -> bool:
        """True when it passed, or failed in nothing that did not fail before."""
        return self.passed or self.as_before


class ChecksReport(Contract):
    """What the checks of one tree came to.

    Attributes:
        log: object id of the whole output.
        cached: every outcome was recorded already.
        hint: what the sandbox blocked, if it looks so.
    """

    commit: ObjectId
    tree: ObjectId
    results: tuple[CheckResult, ...]
    log: ObjectId
    cached: bool = False
    hint: ShortText = ""

    @property
    def passed(self) -> bool:
        """True when every command passed, or failed in nothing that did not fail before."""
        return self.red is None

    @property
    def red(self) -> CheckResult | None:
        """The command whose failure counts, None when there is none."""
        return next((result for result in self.results if not result.acceptable), None)


class CheckActivities(ABC):
    """The system's own commands on clean checkouts; task queue `test/<host-id>`."""

    @activity.defn
    @abstractmethod
    async def run_checks(self, request: RunChecks) -> ChecksReport:
        """Run commands on a commit in a clean worktree."""
