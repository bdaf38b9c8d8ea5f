"""The person's repository: branches claimed, made and withdrawn."""

from temporalio import activity
from typing_extensions import override

from activities.failures import failed
from contracts.delivery import DeliverBranch, Delivered
from contracts.failures import FailureKind
from contracts.lanes import Lane
from contracts.ports import RepositoryActivities
from contracts.repository import CloseRequest, OpenRepository, RepositoryOpened, RequestClosed
from contracts.resume import RequestResumed, ResumeRequest
from contracts.setup import WantedSetup
from contracts.store import RepositoryRef
from domain import ids, limits
from tests.fakes.calls import Fake
from tests.fakes.store import BASE


class FakeRepositories(Fake, RepositoryActivities):
    """Opens every path on a host, each at the same base commit.

    Attributes:
        settings_checks: of the settings of every base.
        window_tokens: of the settings of every base.
        lane: of the settings of every base.
        setup: what each base needs first.
        codes: what people send counts only with a code.
    """

    settings_checks: tuple[str, ...] = ()
    window_tokens: int | None = None
    lane: Lane | None = None
    setup: WantedSetup | None = None
    codes: bool = False

    @override
    @activity.defn
    async def open_repository(self, request: OpenRepository) -> RepositoryOpened:
        await self._before("open_repository", request)
        branch = request.branch or request.suggested_branch
        owner = self._store.claims.setdefault(branch, request.request_id)
        if owner != request.request_id:
            raise failed(FailureKind.REFUSED, f"the branch is being made by {owner}")
        target = ids.target_name(branch, request.request_key)
        self._store.tips.setdefault(target, BASE)
        return RepositoryOpened(
            repository=RepositoryRef(
                key=ids.repository_key(self._store.host_id + request.path),
                request_key=request.request_key,
                target=target,
                environment=self._store.blob("environment"),
                host_id=self._store.host_id,
            ),
            path=request.path,
            base=BASE,
            base_name="main",
            branch=branch,
            files=1,
            limits=limits.REQUEST,
            settings_checks=() if request.checks else self.settings_checks,
            window_tokens=self.window_tokens,
            lane=self.lane,
            setup=self.setup,
            codes=self.codes,
        )

    resumed = RequestResumed()
    """What earlier attempts have left, for a request that is retried."""

    @override
    @activity.defn
    async def resume_request(self, request: ResumeRequest) -> RequestResumed:
        await self._before("resume_request", request)
        return self.resumed

    @override
    @activity.defn
    async def deliver_branch(self, request: DeliverBranch) -> Delivered:
        await self._before("deliver_branch", request)
        if request.branch in self._store.withdrawn:
            raise failed(FailureKind.REFUSED, "the delivery was withdrawn")
        if request.moves_from and self._store.branches.get(request.branch) == request.moves_from:
            self._store.branches[request.branch] = request.commit
        commit = self._store.branches.setdefault(request.branch, request.commit)
        if commit != request.commit:
            raise failed(FailureKind.REFUSED, "another process made the branch")
        return _delivered(request)

    @override
    @activity.defn
    async def withdraw_delivery(self, request: DeliverBranch) -> Delivered | None:
        await self._before("withdraw_delivery", request)
        if self._store.branches.get(request.branch) == request.commit:
            return _delivered(request)
        self._store.withdrawn.add(request.branch)
        return None

    @override
    @activity.defn
    async def close_request(self, request: CloseRequest) -> RequestClosed | None:
        await self._before("close_request", request)
        if self._store.claims.get(request.branch) == request.request_id:
            del self._store.claims[request.branch]
        return RequestClosed()


def _delivered(request: DeliverBranch) -> Delivered:
    return Delivered(branch=request.branch, commit=request.commit, diffstat="some files")
