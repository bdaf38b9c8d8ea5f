"""Checks: the system's own run of commands on a clean checkout of one commit.

Each command's outcome is recorded by (tree, shell, command, environment), so that a rebuilt chain
with an equal tree, a retry or the final look at the merged tree runs nothing twice.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from temporalio import activity
from typing_extensions import override

from activities.failures import translated_failures
from contracts.checks import CheckResult, ChecksReport, RunChecks
from contracts.ports import CheckActivities
from domain import ids
from domain.check_results import compared, failing_tests, how_it_failed
from domain.setup_words import stale_sentence
from domain.text import Redact, clip, for_people
from infra.commands import SHELL, CommandRun, CommandRunner, undo
from infra.store import ANY, RefUpdate, Store, journal, names
from infra.store.open_stores import OpenStores
from infra.tree_environment import TreeEnvironment
from infra.worktrees.handle import WorktreeHandle
from infra.worktrees.open_pools import OpenPools

_LOG_BYTES = 60_000
_TAIL = 900
_LOOKED_THROUGH = 20_000


@dataclass(frozen=True)
class _Outcome:
    result: CheckResult
    log: str
    hint: str
    cached: bool


class CleanChecks(CheckActivities):
    """Checks in pooled worktrees that are cleaned of every leftover first."""

    def __init__(
        self, stores: OpenStores, pools: OpenPools, runner: CommandRunner, *, redact: Redact
    ) -> None:
        self._stores = stores
        self._pools = pools
        self._runner = runner
        self._redact = redact

    @override
    @activity.defn
    async def run_checks(self, request: RunChecks) -> ChecksReport:
        """Run commands in order until one fails.

        Safe to repeat: finished commands are found in the record, the rest starts on a new clean
        checkout.
        """
        store = await self._stores.get(request.repository.key)
        async with translated_failures():
            tree = (await store.get_commit(request.commit)).tree
            place = await self._runner.environment_at(
                store, request.repository.environment, request.commit
            )
            run = _CheckRun(request, store, tree, place, self._pools, self._runner, self._redact)
            return await run.report(await run.outcomes())


@dataclass(frozen=True)
class _CheckRun:
    """One request's commands on the tree of its commit."""

    request: RunChecks
    store: Store
    tree: str
    place: TreeEnvironment
    pools: OpenPools
    runner: CommandRunner
    redact: Redact

    async def outcomes(self) -> list[_Outcome]:
        known = [await self._known(number) for number in range(len(self.request.commands))]
        answered = _answered(known)
        if answered is not None:
            return answered
        outcomes = await self._once(known)
        last = outcomes[-1]
        spared = any(outcome.cached for outcome in outcomes)
        if last.cached or last.result.acceptable or last.result.timed_out or not spared:
            return outcomes
        # A command that was not run again may make what this one needs: with it, then.
        return await self._once([None] * len(known))

    async def _once(self, known: Sequence[_Outcome | None]) -> list[_Outcome]:
        pool = await self.pools.get(self.request.repository.key)
        outcomes: list[_Outcome] = []
        ran: list[str] = []
        view = await names.view_of(self.store, self.request.repository.request_key)
        async with pool.checkout(self.request.commit, view) as worktree:
            for command, recorded in zip(self.request.commands, known, strict=True):
                outcome = recorded or await self._command(command, worktree, after=ran)
                outcomes.append(outcome)
                if not outcome.result.acceptable:
                    break
                if recorded is None:
                    ran.append(command)
        return outcomes

    async def _command(
        self, command: str, worktree: WorktreeHandle, *, after: Sequence[str]
    ) -> _Outcome:
        request, runner = self.request, self.runner
        ran = await runner.run(
            worktree,
            command,
            self.place.environment,
            timeout_seconds=request.timeout_seconds,
        )
        if ran.disk_full:
            # If it was not this command that took the room, it is unknown whether it is red:
            # nothing is recorded, and it is run again.
            await undo(worktree, request.commit)
        result = CheckResult(
            command=command,
            exit_code=ran.outcome.exit_code,
            seconds=round(ran.outcome.duration_seconds, 3),
            timed_out=ran.outcome.timed_out,
            tail=_tail(ran.text, self.redact),
            limit=ran.limit,
            failing=() if ran.passed else failing_tests(self.redact(ran.whole)),
        )
        if self.request.fresh and result.passed:
            result = result.model_copy(update={"flaked": await self._doubted(command)})
        activity.logger.info(
            "check.end",
            extra={"command": clip(command, 200), "outcome": ran.ending, "passed": ran.passed},
        )
        return await self._record(ran, result, after)

    def _refs(self, command: str) -> tuple[str, str]:
        """Return the ref of the accepted outcome, and of this very run."""
        repository, fresh, by = self.request.repository, self.request.fresh, self.request.by
        timeout = str(self.request.timeout_seconds)
        # How a line is run decides what it comes to: an outcome of another shell is no answer.
        layer = (self.place.layer,) if self.place.layer else ()
        name = ids.digest(SHELL, command, repository.environment, timeout, *layer)
        main = ids.checks_ref(self.tree, name)
        owner = ids.digest(repository.request_key, *((by,) if by else ()), length=8)
        return main, f"{main}-{owner}-{fresh}" if fresh else main

    async def _known(self, number: int) -> _Outcome | None:
        """Return the recorded outcome of one of the commands, None when it has to be run.

        A red one counts only if it was red with everything done that comes before it here.
        """
        commands = self.request.commands
        found = await journal.recorded(self.store, self._refs(commands[number])[1])
        if found is None:
            return None
        record = json.loads(found)
        result = CheckResult.model_validate(record["result"])
        if not result.passed and not set(commands[:number]) <= set(record.get("after", ())):
            return None
        return self._outcome(result, record["log"], record["hint"], cached=True)

    def _outcome(self, result: CheckResult, log: str, hint: str, *, cached: bool) -> _Outcome:
        """Return an outcome, compared with how the command failed before."""
        result = compared(result, self.request.failed_before)
        return _Outcome(result, log, hint, cached=cached)

    async def _doubted(self, command: str) -> str:
        """Return how the run that a rerun was made to doubt had failed, "" if it had not."""
        found = await journal.recorded(self.store, self._refs(command)[0])
        if found is None:
            return ""
        before = CheckResult.model_validate(json.loads(found)["result"])
        return before.flaked if before.passed else how_it_failed(before)

    async def _record(self, ran: CommandRun, result: CheckResult, after: Sequence[str]) -> _Outcome:
        """Record a run; a rerun that passes replaces the outcome that it was made to doubt."""
        batch = self.store.batch()
        log = batch.blob(f"$ {result.command}\n{ran.text}\n[{ran.ending}]\n".encode())
        full = ran.disk_full and not ran.limit
        hint = "it filled the disk" if full else ran.outcome.hint or ""
        record = {
            "result": result.model_dump(mode="json"),
            "log": log,
            "hint": hint,
            "after": list(after),
        }
        entry = journal.entry(batch, json.dumps(record).encode(), {"log": log})
        await batch.write()
        main, own = self._refs(result.command)
        updates = {own} | ({main} if result.passed else set())
        await self.store.update_refs(*(RefUpdate(ref, entry, ANY) for ref in sorted(updates)))
        return self._outcome(result, log, hint, cached=False)

    async def report(self, outcomes: Sequence[_Outcome]) -> ChecksReport:
        logs = [await self.store.get_blob(outcome.log) for outcome in outcomes]
        return ChecksReport(
            commit=self.request.commit,
            tree=self.tree,
            results=tuple(outcome.result for outcome in outcomes),
            log=await self.store.put_blob(_last_lines(b"\n".join(logs))),
            cached=all(outcome.cached for outcome in outcomes),
            hint="; ".join(self._hints(outcomes))[:1_000],
        )

    def _hints(self, outcomes: Sequence[_Outcome]) -> list[str]:
        stale = [stale_sentence(self.place.stale)] if self.place.stale else []
        return [*stale, *sorted({outcome.hint for outcome in outcomes if outcome.hint})]


def _tail(text: str, redact: Redact) -> str:
    """Return the last lines for people, without secrets."""
    plain = redact(for_people(text[-_LOOKED_THROUGH:], _LOOKED_THROUGH))
    if len(plain) <= _TAIL:
        return plain
    last = plain[-_TAIL:]
    return "…\n" + (last.partition("\n")[2] or last)


def _last_lines(log: bytes) -> bytes:
    """Return the end of a long log, cut between lines."""
    if len(log) <= _LOG_BYTES:
        return log
    last = log[-_LOG_BYTES:]
    return b"[the beginning is left out]\n" + (last.partition(b"\n")[2] or last)


def _answered(known: Sequence[_Outcome | None]) -> list[_Outcome] | None:
    """Return the outcomes when the records answer the whole request, else None."""
    outcomes: list[_Outcome] = []
    for outcome in known:
        if outcome is None:
            return None
        outcomes.append(outcome)
        if not outcome.result.acceptable:
            break
    return outcomes
