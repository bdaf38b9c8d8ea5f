"""In from the user's repository, and out to it: one fetch at the start, one branch at the end."""

import asyncio
import contextlib
import re
import shlex
import shutil
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from temporalio import activity
from typing_extensions import override

from activities.estimates import note_spending
from activities.failures import failed, translated_failures
from activities.installed import installed_for
from activities.tools.permissions import permissions_now
from activities.wanted_setup import setup_of_base
from contracts.base import ObjectId
from contracts.delivery import DeliverBranch, Delivered
from contracts.failures import FailureKind
from contracts.lanes import LaneFacts
from contracts.permissions import AllowedRules, RequestPermissions
from contracts.ports import RepositoryActivities
from contracts.repository import (
    CloseRequest,
    Environment,
    OpenRepository,
    OpenRequest,
    RepositoryOpened,
    RequestClosed,
)
from contracts.request import RequestEnded, RequestStatus
from contracts.resume import RequestResumed, ResumeRequest
from contracts.store import RepositoryRef
from contracts.threads import PastRun
from domain import ids, lanes, limits, threads
from domain.policy.untrusted import for_stranger
from domain.request.notes import repository_notes
from domain.spending import with_spending
from domain.text import clip, for_people
from infra.cloud_lane import CloudLane
from infra.delivery_trial import why_not_pushed
from infra.git.command import GitCommand, GitError, GitTimeoutError
from infra.kept import resuming
from infra.kept.spending import SpendingReader
from infra.kept.threads import note_member, past_runs
from infra.layers import Layers
from infra.locks import locked
from infra.person_instructions import person_instructions
from infra.repository_look import Asked, Inspected, Look, RequestRefused, locate, looking
from infra.start_codes import StartCodes
from infra.store import (
    ANY,
    BranchTaken,
    ObjectMissing,
    RefConflict,
    RefUpdate,
    Store,
    StoreError,
    diffs,
    names,
    packing,
    records,
    transport,
    trees,
)
from infra.store.excludes import write_excludes
from infra.store.fetching import UPLOAD
from infra.store.object_format import SYSTEM
from infra.store.open_stores import OpenStores
from infra.store.served import served
from infra.store.visible import visible

_TRIES = 3
_LEAST_FREE_BYTES = 200_000_000
_MOST_SAID = 8


class UserRepositories(RepositoryActivities):
    """The user's repositories on this host.

    Args:
        fallback: the environment of checks when a request brings none: the worker's.
        umask: for what is written into them; -1 = the worker's.
        author: of all delivered commits, "Name <mail>"; None for each repository's own user.
        instructions: files of which the first with a text is told to every agent.
        permissions: the person's settings file, which need not exist; None for none.
        starts: checks the code of each start; None where none is needed.
        service: options by which the Temporal CLI finds the service.
        layers: what setups have installed.
        cloud: the cloud lane of this host.
    """

    def __init__(
        self,
        stores: OpenStores,
        *,
        host_id: str,
        fallback: Environment,
        umask: int = -1,
        author: str | None = None,
        instructions: Sequence[Path] = (),
        permissions: Path | None = None,
        starts: StartCodes | None = None,
        service: tuple[str, ...] = (),
        layers: Layers,
        cloud: CloudLane,
    ) -> None:
        self._cloud = cloud
        self._layers = layers
        self._starts = starts
        self._service = service
        self._stores = stores
        self._host_id = host_id
        self._fallback = fallback
        self._umask = umask
        self._author = author
        self._instructions = instructions
        self._permissions = permissions

    @override
    @activity.defn
    async def open_repository(self, request: OpenRepository) -> RepositoryOpened:
        """Check every condition, then bring the base into the store and claim the branch.

        Safe to repeat: what the first time came to stands, even once the branch is delivered.

        Raises:
            FailureKind.REFUSED: the sentence says what to change; nothing was touched.
        """
        async with translated_failures():
            await asyncio.to_thread(self._check_code, request)
            branch = request.branch or request.suggested_branch
            asked = Asked(
                path=request.path,
                base=await self._base(request),
                branch=branch,
                checks=request.checks,
                until=request.until,
                setup=request.setup,
                search_path=(request.environment or self._fallback).path,
                virtual_env=(request.environment or self._fallback).virtual_env,
            )
            async with looking(asked) as look:
                opened = await self._opened(request, look)
                if opened is not None:
                    return opened
                if request.retried:
                    raise failed(FailureKind.REFUSED, _nothing_kept(request.path))
                found = await look.found()
            self._check_lane(request, found)
            await _check_served(Path(found.path))
            await _check_delivery(found, branch)
            permissions = await asyncio.to_thread(self._permitted, found)
            if request.untrusted:
                permissions = for_stranger(permissions)
            key = ids.repository_key(found.real_path)
            self._check_free_space(key)
            store = await self._stores.clone(Path(found.path), key, found.base)
            excludes = found.excludes.encode("latin-1")
            await asyncio.to_thread(write_excludes, store.path, excludes)
            return await self._fetched(store, request, found, permissions, key=key, branch=branch)

    def _check_lane(self, request: OpenRepository, found: Inspected) -> None:
        """Refuse, before anything is paid, what has to run in a lane that is not offered here."""
        asked = request.lane or (found.settings.lane if found.settings else None)
        facts = LaneFacts(asked=asked, untrusted=request.untrusted)
        try:
            lanes.choose(facts, no_cloud=self._cloud.problem)
        except lanes.LaneRefused as refused:
            raise failed(FailureKind.REFUSED, str(refused)) from refused

    def _permitted(self, found: Inspected) -> RequestPermissions:
        of_base = found.settings.permissions if found.settings else ""
        return permissions_now(self._permissions, of_base, found.path)

    async def _base(self, request: OpenRepository) -> str | None:
        """Return from where a request starts: as it says, or what its thread has delivered last."""
        if request.base or not request.thread:
            return request.base
        candidates = threads.bases(await self._past(request, ledgers=False))
        for base in candidates:
            with contextlib.suppress(RequestRefused):
                branch = request.branch or request.suggested_branch
                async with looking(Asked(path=request.path, base=base, branch=branch)) as look:
                    await look.found()
                    return base
        return None

    async def _past(self, request: OpenRepository, *, ledgers: bool = True) -> Sequence[PastRun]:
        """Return what the thread of a request came to so far."""
        key = ids.repository_key(str(await locate(request.path)))
        if not self._stores.path(key).is_dir():
            return ()
        store = await self._stores.get(key)
        own = request.request_key
        return await past_runs(store, request.thread, but=own, ledgers=ledgers)

    def _check_code(self, request: OpenRepository) -> None:
        """Refuse a start without its code, where one is needed."""
        run = activity.info().workflow_run_id or ""
        starts = self._starts
        if starts and (why := starts.problem(request.request_id, request.asked, run)):
            raise failed(FailureKind.REFUSED, why)

    async def _opened(self, request: OpenRepository, look: Look) -> RepositoryOpened | None:
        """Return what this request's first time came to, the branch claimed as then."""
        key = ids.repository_key(str(await look.root()))
        if not self._stores.path(key).is_dir():
            return None
        store = await self._stores.get(key)
        opened = await records.read(store, ids.opened_ref(request.request_key), RepositoryOpened)
        if opened is None:
            return None
        branch = request.branch or request.suggested_branch
        if branch != opened.branch:  # a retry may name another
            opened = opened.model_copy(update={"branch": branch})
            record = await records.write(store, opened)
            await store.update_refs(RefUpdate(ids.opened_ref(request.request_key), record, ANY))
        await self._claim(store, branch, request.request_id)
        await _note_open(store, request)
        allowed = await records.read(store, ids.allowed_ref(request.request_key), AllowedRules)
        return opened.model_copy(update={"allowed": allowed.rules}) if allowed else opened

    def _check_free_space(self, key: str) -> None:
        folder = self._stores.path(key).parent
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if free < _LEAST_FREE_BYTES:
            raise failed(
                FailureKind.DISK,
                f"{free // 1_000_000} MB are free where the stores lie, at least "
                f"{_LEAST_FREE_BYTES // 1_000_000} MB are needed",
            )

    async def _fetched(
        self,
        store: Store,
        request: OpenRepository,
        found: Inspected,
        permissions: RequestPermissions,
        *,
        key: str,
        branch: str,
    ) -> RepositoryOpened:
        base, target = await self._begun(store, request, found, branch)
        await records.write_first(store, ids.permissions_ref(request.request_key), permissions)
        asked = request.environment or self._fallback
        files = await trees.object_ids(store, base)
        environment, told, problems = await installed_for(asked, found, files)
        setup = await setup_of_base(
            store,
            files,
            environment,
            asked=request.setup,
            of_settings=found.settings.setup if found.settings else (),
            layers=self._layers,
        )
        environment = environment.model_copy(update={"setup": setup.rule})
        environment_record = await records.write(store, environment)
        opened = RepositoryOpened(
            repository=RepositoryRef(
                key=key,
                request_key=request.request_key,
                target=target,
                environment=environment_record,
                host_id=self._host_id,
            ),
            path=found.path,
            base=base,
            base_name=found.base_name,
            branch=branch,
            files=len(files),
            store=str(store.path),
            limits=limits.REQUEST,
            # What commands find is told when the setup has come to something.
            notes=(
                *repository_notes(await trees.submodules(store, base)),
                *(told if setup.wanted is None else ()),
                *problems,
                *setup.notes,
                *_uncounted(permissions),
            ),
            codes=self._starts is not None,
            service=self._service,
            settings_checks=found.settings.checks if found.settings and not request.checks else (),
            window_tokens=found.settings.window_tokens if found.settings else None,
            lane=found.settings.lane if found.settings else None,
            setup=setup.wanted,
            past=threads.told(await self._past(request)) if request.thread else "",
        )
        await _note_opened(store, request, opened)
        return opened

    async def _begun(
        self, store: Store, request: OpenRepository, found: Inspected, branch: str
    ) -> tuple[ObjectId, str]:
        """Bring the base into the store; return it, and the target that starts there."""
        await self._claim(store, branch, request.request_id)
        await _note_open(store, request)
        # Before the note of the opening: a request that has that one and not these was opened by
        # code that noted neither time nor author (activities/patches.py).
        await records.write_time(store, ids.began_ref(request.request_key))
        author = self._author or found.author or SYSTEM
        await records.write_text(store, ids.author_ref(request.request_key), author)
        if told := await asyncio.to_thread(person_instructions, self._instructions):
            await records.write_text(store, ids.person_ref(request.request_key), told[1])
        base_ref = ids.base_ref(request.request_key)
        base = await store.resolve(base_ref)
        if base is None:
            # What is there already stays there until the reference that is made of it.
            async with packing.pruning(store.path):
                base = await transport.fetch(store, Path(found.path), found.base, base_ref)
        await _note_names(store, request.request_key, found, base)
        await visible(store, await names.view_of(store, request.request_key))
        target = ids.target_name(branch, request.request_key)
        if await store.resolve(ids.target_ref(target)) is None:
            await store.advance(ids.target_ref(target), base, None)
        return base, target

    async def _claim(self, store: Store, branch: str, request_id: str) -> None:
        """Note who makes the branch, so that two requests cannot both."""
        ref = ids.claim_ref(branch)
        mine = await store.put_blob(request_id.encode())
        try:
            await store.advance(ref, mine, None)
        except RefConflict as conflict:
            other = (await store.get_blob(ref)).decode("utf-8", "replace")
            raise failed(
                FailureKind.REFUSED,
                f"the branch {branch!r} is being made by {other}: name another with --branch",
            ) from conflict

    @override
    @activity.defn
    async def resume_request(self, request: ResumeRequest) -> RequestResumed:
        """Return what a further attempt at a request begins with.

        Safe to repeat: what the first time came to stands.

        Raises:
            FailureKind.REFUSED: nothing is left to do, or a task that is named cannot run.
        """
        store = await self._stores.get(request.repository.key)
        async with translated_failures():
            try:
                return await resuming.resumed(store, request)
            except resuming.NotRetriedError as error:
                raise failed(FailureKind.REFUSED, f"nothing is retried: {error}") from error

    @override
    @activity.defn
    async def deliver_branch(self, request: DeliverBranch) -> Delivered:
        """Push the branch without running any hook of the user's.

        One that an earlier attempt at the request has delivered is moved on from there.

        Safe to repeat: the branch at this very commit counts as delivered. A push that has begun is
        carried to its end, also when this is cancelled: whether it came too late must be known.

        Raises:
            FailureKind.REFUSED: the branch exists and is another, or its delivery was withdrawn.
        """
        store = await self._stores.get(request.repository.key)
        async with translated_failures():
            await _push(store, request, self._umask)
            return await _delivered(store, request)

    @override
    @activity.defn
    async def withdraw_delivery(self, request: DeliverBranch) -> Delivered | None:
        """Look whether an attempt to deliver came about; if none did, none ever will.

        Safe to repeat. A user's repository that is not there any more was given nothing.
        """
        store = await self._stores.get(request.repository.key)
        async with translated_failures(), _delivering(store):
            if await _has_branch(store, request):
                return await _delivered(store, request)
            await store.update_refs(RefUpdate(_withdrawal(request), request.commit, ANY))
            return None

    @override
    @activity.defn
    async def close_request(self, request: CloseRequest) -> RequestClosed | None:
        """Give up the claim on the branch, and note that the request has ended, and how.

        Safe to repeat: a claim that is another's stays.
        """
        store, key = await self._stores.get(request.repository.key), request.repository.request_key
        async with translated_failures():
            spent = await SpendingReader().of_request(store, key)
            if request.status is not None:
                status = with_spending(RequestStatus.model_validate(request.status), spent)
                ended = RequestEnded(
                    status=status,
                    spent=spent,
                    plan=request.plan,
                    approved=request.approved,
                    notes=request.notes,
                )
                noted = await records.write(store, ended)
                await store.update_refs(RefUpdate(ids.ended_ref(key), noted, ANY))
                await note_spending(store, key, status, spent)
            await store.update_refs(RefUpdate(ids.open_ref(key), None, ANY))
            await _give_up_claim(store, request)
        return RequestClosed(spent=spent)


def _nothing_kept(path: str) -> str:
    return (
        f"nothing of this request is kept for the repository {path!r}: it was moved, or it is "
        "another one; move it back, or ask again"
    )


async def _give_up_claim(store: Store, request: CloseRequest) -> None:
    ref = ids.claim_ref(request.branch)
    if await store.resolve(ref) is None:
        return
    owner = (await store.get_blob(ref)).decode("utf-8", "replace")
    if owner == request.request_id:
        await store.update_refs(RefUpdate(ref, None, ANY))


def _delivering(store: Store) -> contextlib.AbstractAsyncContextManager[int]:
    """Hold the turn to deliver from a store: no attempt pushes while one is withdrawn."""
    return locked(store.path / "oc-delivery.turn")


async def _push(store: Store, request: DeliverBranch, umask: int) -> None:
    kept = f"take the result with: git fetch {shlex.quote(str(store.path))} {request.commit}"
    async with _delivering(store) as turn:
        if store.ref(_withdrawal(request)):
            why = f"the delivery of {request.branch!r} was withdrawn; {kept}"
            raise failed(FailureKind.REFUSED, why)
        try:
            # git keeps the lock when this process dies: the next holder sees what it has come to.
            path = Path(request.path)
            await _run_to_completion(
                transport.push(
                    store,
                    path,
                    request.commit,
                    request.branch,
                    moves_from=request.moves_from,
                    pass_fds=(turn,),
                    umask=umask,
                )
            )
        except BranchTaken as taken:
            moved = "was moved" if request.moves_from else "was made by another process"
            why = f"the branch {request.branch!r} {moved} meanwhile, at {taken.at[:12]}; {kept}"
            raise failed(FailureKind.REFUSED, why) from taken


def _withdrawal(request: DeliverBranch) -> str:
    # Of this run alone: a person who resets the workflow wants it to be tried again.
    run = activity.info().workflow_run_id
    return ids.withdrawn_ref(request.repository.request_key, run or "")


async def _has_branch(store: Store, request: DeliverBranch) -> bool:
    try:
        await locate(request.path)
    except RequestRefused:
        return False
    return await transport.pushed(store, Path(request.path), request.commit, request.branch)


async def _delivered(store: Store, request: DeliverBranch) -> Delivered:
    stat = await diffs.diffstat(store, request.base, request.commit)
    diffstat = clip(for_people(stat), 1_000)
    return Delivered(branch=request.branch, commit=request.commit, diffstat=diffstat)


async def _note_names(store: Store, request_key: str, found: Inspected, base: str) -> None:
    """Note what worktrees call the base and older commits."""
    if found.branch is not None:
        await names.note_branch(store, request_key, found.branch, base)
    try:
        await names.mirror_tags(store, Path(found.path))
    except (StoreError, ObjectMissing) as error:
        # A broken tag keeps nobody from working.
        activity.logger.warning("tags.unread", extra={"reason": str(error)[:500]})


async def _note_open(store: Store, request: OpenRepository) -> None:
    """Note what was asked, by whom and when, for as long as the request is open."""
    ref = ids.open_ref(request.request_key)
    # One that was terminated has left the note of its last start.
    if request.asked and (request.retried or store.ref(ref) is None):
        name, key = request.request_id, request.request_key
        asked = OpenRequest(id=name, key=key, asked=request.asked, opened=time.time())
        await store.update_refs(RefUpdate(ref, await records.write(store, asked), ANY))


async def _run_to_completion(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task


async def _check_delivery(found: Inspected, branch: str) -> None:
    """Try whether the repository's configuration lets a branch of this name be made.

    Raises:
        FailureKind.REFUSED: it does not.
    """
    if why := await why_not_pushed(Path(found.git_dir), branch):
        raise failed(
            FailureKind.REFUSED,
            f"the repository refuses the branch {branch!r} ({for_people(why)}): change receive.* "
            f"or transfer.* in its configuration, or name another with --branch",
        )


async def _check_served(path: Path) -> None:
    """Ask git itself whether it hands this repository out, before anything is made of it.

    Raises:
        FailureKind.REFUSED: an unknown format, a broken configuration.
    """
    git = GitCommand(path / ".orchestcode-none")
    words = ("ls-remote", "--quiet", UPLOAD, "--")
    said = ""
    for left in reversed(range(_TRIES)):
        try:
            async with served(path) as there:
                await git(*words, str(there), "HEAD", reads=True, timeout_seconds=60)
        except GitTimeoutError:
            raise
        except GitError as error:
            why = _why_not_served(path, error)
            # What is said twice is a verdict; once, git or its child may have been killed.
            if why == said and error.code > 0:
                raise failed(FailureKind.REFUSED, why) from error
            if not left:
                raise
            said = why
        else:
            return


def _why_not_served(path: Path, error: GitError) -> str:
    said = re.search(r"^fatal: (.*(?:\n\s.*)*)", error.stderr, re.MULTILINE)
    reason = " ".join(said[1].split()) if said else f"exit code {error.code}"
    return f"git cannot read the repository {path}: {for_people(reason)}"


async def _note_opened(store: Store, request: OpenRepository, opened: RepositoryOpened) -> None:
    """Keep what was opened, for all attempts at the request, and its place in its thread."""
    if request.thread:
        await note_member(store, request.request_key, request.thread)
    record = await records.write(store, opened)
    # Only a reference keeps it from a pruning between the end of a request and its retry.
    await store.update_refs(
        RefUpdate(ids.environment_ref(request.request_key), opened.repository.environment, ANY),
        RefUpdate(ids.opened_ref(request.request_key), record, ANY),
    )


def _uncounted(permissions: RequestPermissions) -> tuple[str, ...]:
    """Return what of the permissions does not count, for the notes of a request."""
    said = tuple(f"Permissions: {each}"[:1_000] for each in permissions.warnings)
    more = f"Permissions: {len(said) - _MOST_SAID} more; `orchestcode policy show` lists them"
    return said if len(said) <= _MOST_SAID else (*said[:_MOST_SAID], more)
