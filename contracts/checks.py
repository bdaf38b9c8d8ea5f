"""Checks: commands that the system itself runs, on a clean checkout of one commit."""

from abc import ABC, abstractmethod

from temporalio import activity

from contracts import wire_defaults
from contracts.base import Contract, ObjectId, ShortText
from contracts.store import RepositoryRef


class RunChecks(Contract):
    """Ask for commands to be run on a commit, in a worktree without any leftovers.

    Each outcome is recorded by (tree, command, environment, `fresh`) and not found out again.

    Attributes:
        commands: run in order by bash, a pipe failing with any of its commands; the first that
            fails ends the run.
        timeout_seconds: for each command.
        fresh: counts deliberate reruns.
    """

    repository: RepositoryRef
    commit: ObjectId
    commands: tuple[str, ...]
    timeout_seconds: int = wire_defaults.CHECK_SECONDS
    fresh: int = 0


class CheckResult(Contract):
    """One command's end.

    Attributes:
        exit_code: None when it was ended by a signal or the time limit.
        tail: the last lines of its output.
    """

    command: str
    exit_code: int | None
    seconds: float
    timed_out: bool = False
    tail: ShortText = ""

    @property
    def passed(self) -> bool:
        """True when the command ended by itself with exit code 0."""
        return self.exit_code == 0 and not self.timed_out


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
        """True when every command passed."""
        return all(result.passed for result in self.results)


class CheckActivities(ABC):
    """The system's own commands on clean checkouts; task queue `test/<host-id>`."""

    @activity.defn
    @abstractmethod
    async def run_checks(self, request: RunChecks) -> ChecksReport:
        """Run commands on a commit in a clean worktree."""
