"""In from the user's repository and out to it."""

from abc import ABC, abstractmethod

from temporalio import activity

from contracts.base import Contract, ObjectId, PathText, ShortText
from contracts.limits import RequestLimits
from contracts.store import RepositoryRef


class Environment(Contract):
    """The environment in which the user's commands run, as captured where the request was made.

    Attributes:
        path: PATH, colon-separated.
        virtual_env: the active virtual environment, None if there was none.
        checkout: the person's own folder, for which the worktree stands where commands run; set
            when the repository is opened.
    """

    path: PathText
    virtual_env: PathText | None = None
    checkout: PathText | None = None


class OpenRepository(Contract):
    """Look at the user's repository and bring its base commit into a store.

    Nothing is written anywhere before every condition is met.

    Attributes:
        base: branch, tag or commit; None means what HEAD names.
        branch: the branch to deliver; None lets `suggested_branch` stand.
        environment: None means the worker's own.
        asked: the request's input as JSON, to start it again should its server forget it.
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


class DeliverBranch(Contract):
    """Push one branch into the user's repository; it must not exist unless this call made it."""

    repository: RepositoryRef
    path: PathText
    branch: str
    commit: ObjectId
    base: ObjectId


class Delivered(Contract):
    """The branch as it stands in the user's repository."""

    branch: str
    commit: ObjectId
    diffstat: ShortText


class CloseRequest(Contract):
    """Free what a request holds: its claim on the branch."""

    repository: RepositoryRef
    request_id: str
    branch: str


class RepositoryActivities(ABC):
    """The user's repository: read at the start, given one branch at the end; task queue `git`."""

    @activity.defn
    @abstractmethod
    async def open_repository(self, request: OpenRepository) -> RepositoryOpened:
        """Check every condition, then bring the base commit into the store and claim the branch."""

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
    async def close_request(self, request: CloseRequest) -> None:
        """Give up the claim on the branch."""
