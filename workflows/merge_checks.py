"""PrefixChecks of the merge queue: checks on prefixes of the chain, several at once."""

import asyncio
from collections.abc import Callable, Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.checks import ChecksReport, RunChecks
    from contracts.merge_queue import ChainLink, QueuedPatch
    from contracts.ports import CheckActivities
    from contracts.store import RepositoryRef
    from workflows import activity_options, cancellation, retrying


async def run_checks(
    repository: RepositoryRef,
    commit: str,
    commands: tuple[str, ...],
    *,
    summary: str,
    fresh: int = 0,
) -> ChecksReport:
    """Run commands on a clean checkout of a commit; `fresh` counts deliberate reruns."""
    report = await retrying.call(
        CheckActivities.run_checks,
        RunChecks(
            repository=repository,
            commit=commit,
            commands=commands,
            timeout_seconds=activity_options.CHECK_SECONDS,
            fresh=fresh,
        ),
        activity_options.checks(repository.host_id, summary, commands=len(commands)),
    )
    cancellation.raise_if_cancelled()
    return report


class PrefixChecks:
    """
    What has to pass, and the runs of it.

    Attributes:
        promised: acceptance commands of everything that has landed; each must go on passing.
    """

    def __init__(self, promised: tuple[str, ...]) -> None:
        self.promised = promised

    def landed(self, acceptance: Sequence[str]) -> None:
        """Keep what a landed task promised."""
        self.promised = tuple(dict.fromkeys((*self.promised, *acceptance)))

    async def run(
        self,
        queue: Sequence[QueuedPatch],
        tip: str,
        links: Sequence[ChainLink],
        cuts: Sequence[int],
        *,
        heard: Callable[[], bool],
    ) -> dict[int, ChecksReport] | None:
        """
        Return the report of each prefix length, None once nobody would hear it.

        A red one is run once more before it is believed. When `heard` turns false the commands
        are ended: a cancelled request leaves no process and no worktree in use.
        """
        trials = asyncio.create_task(self._all(queue, tip, links, cuts))
        try:
            await workflow.wait_condition(lambda: trials.done() or not heard())
            if trials.done():
                return await trials
            trials.cancel()
            await workflow.wait((trials,))
            # Asked for, so that nobody reports it as unheard.
            _ = trials.cancelled() or trials.exception()
        finally:
            trials.cancel()
        return None

    async def _all(
        self,
        queue: Sequence[QueuedPatch],
        tip: str,
        links: Sequence[ChainLink],
        cuts: Sequence[int],
    ) -> dict[int, ChecksReport]:
        by_id = {queued.id: queued for queued in queue}
        required = await self._required(tuple(queue), tip)
        reports = await asyncio.gather(
            *(
                self._prefix([by_id[link.id] for link in links[:cut]], links[cut - 1], required)
                for cut in cuts
            )
        )
        return dict(zip(cuts, reports, strict=True))

    async def _required(self, queue: Sequence[QueuedPatch], tip: str) -> tuple[str, ...]:
        """
        Return the requests' checks that the tip passes already: no landing may break them.

        A check that is red without any patch cannot be held against one; it is not forgotten, since
        each request runs all of its checks on the merged tree at its end.
        """
        green: list[str] = []
        for command in dict.fromkeys(command for queued in queue for command in queued.checks):
            report = await run_checks(
                queue[0].repository, tip, (command,), summary=f"baseline: {command}"
            )
            green += [command] if report.passed else []
        return tuple(green)

    async def _prefix(
        self, patches: Sequence[QueuedPatch], last: ChainLink, required: tuple[str, ...]
    ) -> ChecksReport:
        own = [command for queued in patches for command in queued.acceptance]
        commands = tuple(dict.fromkeys((*own, *self.promised, *required)))
        summary = f"test {', '.join(queued.task for queued in patches)}"
        repository, commit = patches[0].repository, last.commit or ""
        report = await run_checks(repository, commit, commands, summary=summary)
        if report.passed:
            return report
        return await run_checks(repository, commit, commands, summary=f"again: {summary}", fresh=1)
