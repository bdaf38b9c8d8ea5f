"""Checks of the merge queue: on prefixes of the chain, several at once."""

import asyncio
from collections.abc import Callable, Sequence

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.checks import ChecksReport, FailedBefore
    from contracts.merge_queue import ChainLink, QueuedPatch
    from contracts.planning import Promise
    from domain.check_results import failed_before
    from workflows.checks import run_checks


_QUEUE = "merge queue"


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
        self.promises = (*self.promises, _promise(queued))

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
        required, before = await self._required(tuple(queue), tip)
        reports = await asyncio.gather(
            *(
                self._prefix(
                    [by_id[link.id] for link in links[:cut]], links[cut - 1], required, before
                )
                for cut in cuts
            )
        )
        return dict(zip(cuts, reports, strict=True))

    async def _required(
        self, queue: Sequence[QueuedPatch], tip: str
    ) -> tuple[tuple[str, ...], tuple[FailedBefore, ...]]:
        """Return the requests' checks that are run, and how those of them fail that the tip fails.

        No landing may break what the tip passes, or add to what fails there. A check that is red
        without any patch and names no test cannot be held against one; it is not forgotten, since
        each request runs all of its checks on the merged tree at its end.
        """
        required, before = list[str](), list[FailedBefore]()
        for command in dict.fromkeys(command for queued in queue for command in queued.checks):
            report = await run_checks(
                queue[0].repository, tip, (command,), summary=f"baseline: {command}"
            )
            failed = failed_before(report.results[-1])
            before += [failed] if failed else []
            required += [command] if report.passed or failed else []
        return tuple(required), tuple(before)

    async def _prefix(
        self,
        patches: Sequence[QueuedPatch],
        last: ChainLink,
        required: tuple[str, ...],
        before: tuple[FailedBefore, ...],
    ) -> ChecksReport:
        promised = (*(each for queued in patches for each in queued.acceptance), *self.promised)
        # A check that was red before counts unless a person has dropped it for one of the patches.
        dropped = [
            each.command
            for each in before
            if any(each.command not in queued.checks for queued in patches)
        ]
        held = (each for each in required if each not in dropped)
        commands = tuple(dict.fromkeys((*promised, *held)))
        before = tuple(each for each in before if each.command not in promised)
        summary = f"test {', '.join(queued.task for queued in patches)}"
        repository, commit = patches[0].repository, last.commit or ""
        report = await run_checks(
            repository, commit, commands, summary=summary, failed_before=before
        )
        if report.passed:
            return report
        summary = f"again: {summary}"
        return await run_checks(
            repository,
            commit,
            commands,
            summary=summary,
            attempt=max(queued.attempt for queued in patches),
            again=True,
            by=_QUEUE,
            failed_before=before,
        )


def _promise(queued: QueuedPatch) -> Promise:
    return Promise(task=queued.task, commands=queued.acceptance, group=queued.group)
