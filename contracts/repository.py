"""In from the user's repository and out to it."""

from abc import ABC, abstractmethod

from pydantic import Field, JsonValue
from temporalio import activity

from contracts.agent import Note
from contracts.base import Contract, ObjectId, PathText, ShortText
from contracts.delivery import DeliverBranch, Delivered
from contracts.lanes import Lane
from contracts.limits import RequestLimits
from contracts.model_choice import WindowTokens
from contracts.permissions import AllowedRule
from contracts.planning import Plan
from contracts.resume import RequestResumed, ResumeRequest
from contracts.setup import SetupRule, WantedSetup
from contracts.spending import Spending
from contracts.store import RepositoryRef
from contracts.threads import MOST_PAST


class Dependencies(Contract):
    """Installed dependencies: a folder that the checkout has and git does not hold.

    Attributes:
        path: in the checkout, and where commands find it in their worktree.
        in_home: both are in a home instead: a cache of a package manager's.
        source: the folder itself, without symbolic links.
        below: the folder of the base in which it lies, "" for the top.
        read_only: no command may write there; else what one writes is kept apart.
        contents: what it holds, in words for a sentence; "" when nothing is known.
        outdated_by: files of the base that say what is installed and differ in the checkout.
        state: names what was there at the opening; after a change it is another one.
        layer: the name of the layer that it is of, "" where it is the person's own.
        is_file: a single file of a layer, which is copied into each worktree.
    """

    path: PathText
    source: PathText
    in_home: bool = False
    below: PathText = ""
    read_only: bool = False
    contents: str = ""
    outdated_by: tuple[PathText, ...] = ()
    state: str = ""
    layer: str = ""
    is_file: bool = False


class Environment(Contract):
    """The environment in which the user's commands run, as captured where the request was made.

    Attributes:
        path: PATH, colon-separated.
        virtual_env: the active virtual environment, None if there was none.
        checkout: the person's own folder, for which the worktree stands where commands run; set
            when the repository is opened.
        private: where else the person's repository keeps what commands do not see: its git
            directory, other worktrees of it, and folders that it borrows objects from.
        dependencies: what commands find in their worktree beside what git holds; set with
            `checkout`.
        setup: what decides which layer a commit needs; None where no setup was run.
    """

    path: PathText
    virtual_env: PathText | None = None
    checkout: PathText | None = None
    private: tuple[PathText, ...] = ()
    dependencies: tuple[Dependencies, ...] = ()
    setup: SetupRule | None = None


class OpenRepository(Contract):
    """Look at the user's repository and bring its base commit into a store.

    Nothing is written anywhere before every condition is met.

    Attributes:
        base: branch, tag or commit; None means what HEAD names.
        branch: the branch to deliver; None lets `suggested_branch` stand.
        until: a further command, beside the checks of the repository's settings, too.
        lane, untrusted: in which lane its tasks have to run; it is refused where there is none.
        environment: None means the worker's own.
        asked: the request's input as JSON, to start it again should its server forget it.
        retried: it goes on with what the store keeps, and is refused where there is nothing.
        setup: commands that install what the base needs, as the person named them; None = they
            named none, () = there is to be none.
        thread: the key of the first request of its thread, "" when it is no follow-up; where no
            base is named, it starts from what the thread has delivered.
    """

    request_id: str
    request_key: str
    path: PathText
    base: str | None
    branch: str | None
    suggested_branch: str
    checks: tuple[str, ...]
    environment: Environment | None = None
    asked: str = ""
    retried: bool = False
    setup: tuple[str, ...] | None = None
    thread: str = ""
    until: str | None = None
    lane: Lane | None = None
    untrusted: bool = False


class OpenRequest(Contract):
    """What the store notes of a request as long as it is open.

    Attributes:
        id: its workflow id.
        asked: its input as JSON.
        opened: when, in seconds since the epoch by the worker's clock.
    """

    id: str
    key: str
    asked: str
    opened: float


class RepositoryOpened(Contract):
    """The store, the base and the branch that will be delivered.

    Attributes:
        store: where the store lies on its host.
        limits: pinned for the request; None in histories from before 2026-12.
        notes: what differs here from the person's checkout.
        codes: answers and notes to this request count only with a code.
        setup: what has to be installed first; None = nothing.
        settings_checks: what the base's settings file names, and only where the request names none.
        window_tokens: of agents' windows, as the base's settings file says; None where it does not.
        lane: of its tasks, as the base's settings file says; None where it does not.
        past: what the runs of its thread before it came to, as agents are told it.
        service: options by which the Temporal CLI finds the service; empty where it does so itself.
        allowed: what people's answers have allowed for the rest of it, in attempts before this one.
    """

    repository: RepositoryRef
    path: PathText
    base: ObjectId
    base_name: PathText
    branch: str
    files: int
    store: PathText = ""
    limits: RequestLimits | None = None
    notes: tuple[ShortText, ...] = ()
    codes: bool = False
    setup: WantedSetup | None = None
    settings_checks: tuple[str, ...] = ()
    window_tokens: WindowTokens | None = None
    lane: Lane | None = None
    past: str = Field(default="", max_length=MOST_PAST)
    service: tuple[str, ...] = ()
    allowed: tuple[AllowedRule, ...] = ()


class CloseRequest(Contract):
    """Free what a request holds: its claim on the branch.

    Attributes:
        status: its last status, for the store to keep; None in histories from before 2026-12.
        plan, approved, notes: for a retry: its last plan, whether tasks of it could run, and what
            the person told the agents.
    """

    repository: RepositoryRef
    request_id: str
    branch: str
    status: dict[str, JsonValue] | None = None
    plan: Plan | None = None
    approved: bool = False
    notes: tuple[Note, ...] = ()


class RequestClosed(Contract):
    """What is known of a request once it holds nothing any more: what its agents have spent."""

    spent: tuple[Spending, ...] = ()


class RepositoryActivities(ABC):
    """The user's repository: read at the start, given one branch at the end; task queue `git`."""

    @activity.defn
    @abstractmethod
    async def open_repository(self, request: OpenRepository) -> RepositoryOpened:
        """Check every condition, then bring the base commit into the store and claim the branch."""

    @activity.defn
    @abstractmethod
    async def resume_request(self, request: ResumeRequest) -> RequestResumed:
        """Return what a further attempt at a request begins with, by what its store keeps."""

    @activity.defn
    @abstractmethod
    async def deliver_branch(self, request: DeliverBranch) -> Delivered:
        """Push the branch without running any hook."""

    @activity.defn
    @abstractmethod
    async def withdraw_delivery(self, request: DeliverBranch) -> Delivered | None:
        """Return what a delivery that gave no answer has come to; None = nothing, for good."""

    @activity.defn
    @abstractmethod
    async def close_request(self, request: CloseRequest) -> RequestClosed | None:
        """Give up the claim on the branch, and count what was spent.

        None stands in histories from before 2026-12.
        """
