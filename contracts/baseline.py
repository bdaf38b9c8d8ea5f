"""The base of a request as the system found it before any work: what is there, what fails."""

from abc import ABC, abstractmethod

from temporalio import activity

from contracts.base import Contract, ObjectId, PathText, ShortText
from contracts.checks import FailedBefore
from contracts.store import RepositoryRef


class SurveyBase(Contract):
    """Ask what agents will find: the machine, languages and dependencies as their commands see it.

    Attributes:
        name: the base as the person names it, a branch, a tag or a commit.
    """

    repository: RepositoryRef
    commit: ObjectId
    name: str


class Survey(Contract):
    """What was found once for all agents of a request; kept in the store, never in a history.

    Attributes:
        date: of the request's beginning, ISO 8601, UTC.
        system: operating system and machine; "" when unknown.
        tools: languages and tools with their versions, one a line.
        dependencies: what is installed, and what the repository asks for and is not there.
        submodules: paths of other repositories, whose files are not there.
    """

    date: str
    system: str = ""
    base: str
    tools: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    submodules: tuple[PathText, ...] = ()


class Surveyed(Contract):
    """The survey's object id."""

    survey: ObjectId


class Baseline(Contract):
    """What all agents and the person are told of a request's base.

    Attributes:
        red: places in the request's `checks` of those that fail on the base.
        flaky: places of those that fail there and pass when run again.
        failed: those of the red ones whose output names what fails: no patch may add to it.
        problems: a sentence for each command that fails, is flaky or cannot run there.
        cannot_run: those of the sentences whose check its shell cannot start.
    """

    commit: ObjectId
    survey: ObjectId
    red: tuple[int, ...] = ()
    flaky: tuple[int, ...] = ()
    failed: tuple[FailedBefore, ...] = ()
    problems: tuple[ShortText, ...] = ()
    cannot_run: tuple[ShortText, ...] = ()


class LookUpCommands(Contract):
    """Ask whether commands can start at all, on a commit, as the sandbox sees it."""

    repository: RepositoryRef
    commit: ObjectId
    commands: tuple[str, ...]


class CommandsLookedUp(Contract):
    """For each command what it lacks, in a sentence; "" when nothing is known to be missing."""

    lacks: tuple[ShortText, ...]


class SurveyActivities(ABC):
    """A look at a request's base, from inside the sandbox; task queue `test/<host-id>`."""

    @activity.defn
    @abstractmethod
    async def survey_base(self, request: SurveyBase) -> Surveyed:
        """Find out what agents will find, once a request."""

    @activity.defn
    @abstractmethod
    async def look_up_commands(self, request: LookUpCommands) -> CommandsLookedUp:
        """Look up the programs of commands, without running the commands."""
