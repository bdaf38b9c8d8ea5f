"""Checks of the merge queue: on prefixes of the chain, several at once."""

import asyncio
from collections.abc import Callable, Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.checks import ChecksReport
    from contracts.merge_queue import ChainLink, QueuedPatch
    from contracts.planning import Promise
    from workflows.checks import run_checks


class PrefixChecks:
    """The checks of a queue.

    Attributes:
        promised: the acceptance commands of all that has landed.
        promises: the same, by task; nothing of what landed before 2026-12.
    """

    def __init__(self, promised: tuple[str, ...], promises: tuple[Promise, ...] = ()) -> None:
        self.promised = promised
        self.promises = promises

    def landed(self, queued: QueuedPatch) -> None:
        """Keep what a landed task promised."""
        self.promised = tuple(dict.fromkeys((*self.promised, *queued.acceptance)))
        self.promises = (*self.promises, Promise(task=queued.task, commands=queued.acceptance))

    async def run(
        self,
        queue: Sequence[QueuedPatch],
        tip: str,
        links: Sequence[ChainLink],
        cuts: Sequence[int],
        *,
        wanted: Callable[[], bool],
    ) -> dict[int, ChecksReport] | None:
        """Return the report of each prefix length, None once `wanted` turns false.

        A failed prefix is rerun once to rule out a flake. When `wanted` turns false the commands
        are ended: a cancelled request leaves no process and no worktree in use.
        """
        running = asyncio.create_task(self._all(queue, tip, links, cuts))
        try:
            await workflow.wait_condition(lambda: running.done() or not wanted())
            if running.done():
                return await running
            running.cancel()
            await workflow.wait((running,))
            # Retrieved, so that asyncio does not report it as never retrieved.
            _ = running.cancelled() or running.exception()
        finally:
            running.cancel()
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
        """Return the requests' checks that the tip passes already: no landing may break them.

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
