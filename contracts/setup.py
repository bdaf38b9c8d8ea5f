"""The setup step: commands that install what a base depends on, before any agent starts."""

from abc import ABC, abstractmethod
from enum import StrEnum

from pydantic import Field
from temporalio import activity

from contracts.base import Contract, ObjectId, PathText, ShortText
from contracts.checks import CheckResult
from contracts.store import RepositoryRef


class SetupOrigin(StrEnum):
    """Who named the commands of a setup."""

    PERSON = "command line"
    SETTINGS = "settings file"
    """The repository's, of the base."""
    DETECTED = "lock file"
    """Nobody: a lock file is there, and what it names is not installed."""


class SetupRule(Contract):
    """What is installed for a commit, and what decides it.

    Attributes:
        commands: run in this order by bash; the first that fails ends the setup.
        stated: object ids of the files of the base that say what is installed, by path.
        host: names the machine's system, architecture and interpreters.
        layer: the name of what this comes to at the base.
    """

    commands: tuple[str, ...]
    stated: dict[PathText, ObjectId] = Field(default_factory=dict)
    host: str = ""
    layer: str = ""

    @property
    def stated_in(self) -> tuple[str, ...]:
        """The files that say what is installed."""
        return tuple(self.stated)


class WantedSetup(Contract):
    """What has to be installed before a request's agents start.

    Attributes:
        layer: names the result, by commands, host and the content of what is stated in.
        because: why, in a sentence.
        ask: a person has to allow it; nobody has, for this content.
        digest: sha256 of what is asked about.
        diff: how a patch changes the files that say what is installed, cut; "" at the base.
        installed: the result is there already, so nothing has to run.
        update: a command that changes lock files first, "" for none; `layer` is then known once it
            has run, and `rule` says what is stated before.
        record: the ref under which what it comes to is kept, "" for none: that of a call.
        same: names what is asked for: the same for calls that want the same command on the same
            manifests and lock files, also where their agents have changed other files; "" = not
            known.
    """

    rule: SetupRule
    origin: SetupOrigin
    layer: str
    because: ShortText = ""
    ask: bool = False
    digest: str = ""
    diff: str = Field(default="", max_length=3_000)
    installed: bool = False
    update: str = ""
    record: str = ""
    same: str = ""


class RunSetup(Contract):
    """Have a setup's result installed for all commands of a request; run it where it is missing.

    Attributes:
        allowed: a person's answer to what was asked, None where nothing was; it is remembered.
        by: who gave it.
    """

    repository: RepositoryRef
    commit: ObjectId
    setup: WantedSetup
    allowed: bool | None = None
    by: str = ""


class SetupReport(Contract):
    """What a setup came to.

    Attributes:
        environment: object id of the environment in which commands find the result; None = a
            command failed.
        results: of the commands that ran now, in order; the last one failed where one did.
        notes: what the person should know of it.
        log: object id of the whole output; None = nothing ran.
        changed: object ids of the files that an update has written, by path.
    """

    environment: ObjectId | None
    results: tuple[CheckResult, ...] = ()
    notes: tuple[ShortText, ...] = ()
    log: ObjectId | None = None
    changed: dict[PathText, ObjectId] = Field(default_factory=dict)


class SetupActivities(ABC):
    """Commands with a network, whose results are shared by all; task queue `test/<host-id>`."""

    @activity.defn
    @abstractmethod
    async def run_setup(self, request: RunSetup) -> SetupReport:
        """Install what a commit needs, once for all who need the same."""
