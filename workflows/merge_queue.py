"""MergeQueueWorkflow: the single writer of one target.

It lands exactly trees that passed; domain.merge_queue decides which prefixes to test.
"""

import datetime as dt
from collections.abc import Sequence

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from contracts.checks import ChecksReport
    from contracts.merge_queue import (
        BuildChain,
        Chain,
        ChainLink,
        Eviction,
        LandChain,
        MergeQueueStart,
        MergeQueueStatus,
        MergeVerdict,
        QueuedPatch,
    )
    from contracts.ports import PatchActivities
    from contracts.visibility import Blocker
    from domain import merge_queue
    from domain.agent import messages
    from domain.review import evictions
    from workflows import activity_options, retrying
    from workflows.merge_checks import PrefixChecks
    from workflows.visibility import show

_REMEMBERED = 500


@workflow.defn
class MergeQueueWorkflow(retrying.Wakeable):
    """The queue of one repository and target.

    1. waits for patches;
    2. stacks them on the target's tip, tests some prefixes at once, lands the longest green one;
    3. tells each patch's sender: landed, or why not;
    4. ends when it is empty and every request has left.
    """

    @workflow.init
    def __init__(self, start: MergeQueueStart) -> None:
        self._start = start
        self._queue: list[QueuedPatch] = list(start.queue)
        self._settled: list[str] = list(start.settled)
        self._members: list[str] = list(start.members)
        self._checks = PrefixChecks(start.landed_acceptance, start.promises)
        self._state = merge_queue.QueueState(0, None, start.failures, start.successes)
        self._order: tuple[str, ...] = ()
        self._red: ChecksReport | None = None
        self._testing: tuple[str, ...] = ()
        self._tip: str | None = None
        self._evicted = start.evicted
        self._rounds = start.rounds

    @workflow.run
    async def run(self, start: MergeQueueStart) -> MergeQueueStatus:
        """Serve the queue until no request needs it."""
        while await self._waits_for_work():
            try:
                await self._round()
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
                await self._give_up(messages.cause(error))
            if workflow.info().is_continue_as_new_suggested():
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(self._carried())
        await workflow.wait_condition(workflow.all_handlers_finished)
        return self.status()

    @workflow.signal(description="Put a patch into the queue (sent by subtasks)")
    def enqueue(self, queued: QueuedPatch) -> None:
        """Queue a patch once; the same id again changes nothing."""
        member = queued.repository.request_key
        if member not in self._members:
            self._members.append(member)
        known = {*self._settled, *(waiting.id for waiting in self._queue)}
        if queued.id not in known:
            self._queue.append(queued)

    @workflow.signal(description="Take a patch out of the queue by its id")
    def withdraw(self, patch_id: str) -> None:
        """Forget a patch whose sender is gone."""
        self._queue = [queued for queued in self._queue if queued.id != patch_id]

    @workflow.signal(description="A request needs the queue no longer, by its request key")
    def leave(self, request_key: str) -> None:
        """Forget a request and its patches: one that is retried queues some of them again."""
        self._members = [member for member in self._members if member != request_key]
        self._queue = [
            queued for queued in self._queue if queued.repository.request_key != request_key
        ]
        self._settled = [each for each in self._settled if not each.startswith(f"{request_key}/")]

    @workflow.query(description="What waits, what is tested, what has landed")
    def status(self) -> MergeQueueStatus:
        """Return the queue's present standing."""
        return MergeQueueStatus(
            target=self._start.repository.target,
            tip=self._tip,
            waiting=tuple(queued.id for queued in self._queue),
            testing=self._testing,
            landed=self._state.successes,
            evicted=self._evicted,
            rounds=self._rounds,
        )

    async def report_blocker(self, blocker: Blocker) -> None:
        """Show a blocker, or that it is gone."""
        show(blocker.state, 0)

    async def _waits_for_work(self) -> bool:
        """Wait for a patch; return False when the queue is empty and no request will send one."""
        try:
            await workflow.wait_condition(
                lambda: bool(self._queue) or not self._members,
                timeout=dt.timedelta(seconds=self._start.idle_seconds),
                timeout_summary="no patch for this long",
            )
        except TimeoutError:
            return False
        return bool(self._queue)

    async def _round(self) -> None:
        """Make one round: build, sort out conflicts, test prefixes, land or evict."""
        self._rounds += 1
        if await self._refuse_rivals():
            return
        chain = await retrying.execute(
            PatchActivities.build_chain,
            BuildChain(
                repository=self._start.repository,
                patches=tuple(
                    (queued.id, queued.patch.commit)
                    for queued in merge_queue.one_of_each(self._queue)
                ),
                # What is known to be red together stays together.
                free_from=self._state.red_prefix or 0,
            ),
            activity_options.store(f"stack {len(self._queue)} patches"),
        )
        self._tip = chain.tip
        links = await self._sort_out(chain)
        if not links or not all(self._waiting(links)):
            return
        if merge_queue.eliminated(self._state):
            await self._evict_first(links)
            return
        cuts = merge_queue.cuts(self._state, self._start.limits)
        self._testing = tuple(link.id for link in links)
        try:
            reports = await self._checks.run(
                self._queue, chain.tip, links, cuts, wanted=lambda: any(self._waiting(links))
            )
        finally:
            self._testing = ()
        if reports is None:
            return
        greens = [cut for cut in cuts if reports[cut].passed]
        reds = [cut for cut in cuts if not reports[cut].passed]
        land, after = merge_queue.conclude(self._state, greens, reds)
        self._red = reports[min(reds)] if reds else self._red
        if not land:
            self._state = after
        elif all(self._waiting(links[:land])):
            await self._land(chain, links[:land], after)

    async def _refuse_rivals(self) -> bool:
        """Send back the patches in whose place another one has landed; True when there were any."""
        found = False
        for queued in tuple(self._queue):
            if rival := merge_queue.landed_rival(queued, self._checks.promises):
                await self._settle(evictions.superseded(queued.id, rival))
                found = True
        return found

    def _waiting(self, links: Sequence[ChainLink]) -> list[bool]:
        """Say of each patch whether it still waits, or was withdrawn meanwhile."""
        waiting = {queued.id for queued in self._queue}
        return [link.id in waiting for link in links]

    async def _sort_out(self, chain: Chain) -> tuple[ChainLink, ...]:
        """Evict what conflicts with the tip, put aside what conflicts with a neighbour."""
        usable, evicted, aside = merge_queue.split_chain(chain.links)
        by_id = {link.id: link for link in chain.links}
        for patch_id in evicted:
            await self._settle(evictions.conflict(by_id[patch_id], self._checks.promises))
        kept = {patch_id: index for index, patch_id in enumerate((*usable, *aside))}
        self._queue.sort(key=lambda queued: kept.get(queued.id, len(kept)))
        same = sum(1 for a, b in zip(self._order, usable, strict=False) if a == b)
        self._order = usable
        self._state = merge_queue.rechained(self._state, usable=len(usable), kept=same)
        return tuple(by_id[patch_id] for patch_id in usable)

    async def _land(
        self, chain: Chain, links: Sequence[ChainLink], after: merge_queue.QueueState
    ) -> None:
        """Move the target to the tested tree; if another process moved it, repeat the round."""
        queued = {waiting.id: waiting for waiting in self._queue}
        landed = await retrying.execute(
            PatchActivities.land_chain,
            LandChain(
                repository=self._start.repository,
                tip=chain.tip,
                candidate=links[-1].commit or "",
                titles=tuple(link.id for link in links),
            ),
            activity_options.store(f"land {', '.join(link.id for link in links)}"),
        )
        if landed.commit is None:
            self._state = merge_queue.QueueState(
                len(self._queue), None, self._state.failures, self._state.successes
            )
            return
        self._tip, self._state = landed.commit, after
        self._order = self._order[len(links) :]
        for link in links:
            if link.id in queued:
                self._checks.landed(queued[link.id])
            await self._settle(MergeVerdict(id=link.id, landed=landed.commit))

    async def _evict_first(self, links: Sequence[ChainLink]) -> None:
        """Send back the patch that is to blame by elimination, with the log of the red run."""
        self._state = merge_queue.after_eviction(self._state)
        self._order = self._order[1:]
        own = next(queued.acceptance for queued in self._queue if queued.id == links[0].id)
        await self._settle(evictions.red(links[0], self._red, self._checks.promises, own))

    async def _give_up(self, why: str) -> None:
        """Send everything back when the checks cannot be run at all."""
        for queued in tuple(self._queue):
            verdict = MergeVerdict(id=queued.id, eviction=Eviction.UNTESTED, reason=why[:1_000])
            await self._settle(verdict)

    async def _settle(self, verdict: MergeVerdict) -> None:
        """Take a patch out of the queue and tell its sender, if that still runs."""
        queued = next((waiting for waiting in self._queue if waiting.id == verdict.id), None)
        if queued is None:
            return
        self._queue.remove(queued)
        self._settled = [*self._settled[-_REMEMBERED:], verdict.id]
        self._evicted += verdict.landed is None
        sender = workflow.get_external_workflow_handle(queued.reply_to)
        try:
            await sender.signal("merge_verdict", verdict)
        except ApplicationError:
            workflow.logger.info("merge.unheard", extra={"patch": verdict.id})

    def _carried(self) -> MergeQueueStart:
        return self._start.model_copy(
            update={
                "queue": tuple(self._queue),
                "settled": tuple(self._settled),
                "members": tuple(self._members),
                "landed_acceptance": self._checks.promised,
                "promises": self._checks.promises,
                "failures": self._state.failures,
                "successes": self._state.successes,
                "evicted": self._evicted,
                "rounds": self._rounds,
            }
        )
