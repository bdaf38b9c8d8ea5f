"""The setup step: what a base depends on, installed with a network, once for all who need it."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from temporalio import activity
from typing_extensions import override

from activities.failures import translated_failures
from activities.installed import told
from activities.setup_run import SetupRun, bounded
from activities.setup_update import set_up_after_update
from contracts.ports import SetupActivities
from contracts.setup import RunSetup, SetupOrigin, SetupReport
from domain.ids import shared_setup_ref
from domain.setup_words import refused_sentence
from domain.text import Redact
from infra.commands import CommandRunner
from infra.layers import Layers
from infra.registry import registry
from infra.store import RefConflict, Store, journal
from infra.store.open_stores import OpenStores
from infra.worktrees.open_pools import OpenPools


class SetupSteps(SetupActivities):
    """Setups in pooled worktrees; `redactor` makes a function that takes given secrets out."""

    def __init__(
        self,
        stores: OpenStores,
        pools: OpenPools,
        runner: CommandRunner,
        layers: Layers,
        *,
        redactor: Callable[[Sequence[str]], Redact],
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._stores = stores
        self._pools = pools
        self._runner = runner
        self._layers = layers
        self._redactor = redactor
        self._environ = os.environ if environ is None else environ

    @override
    @activity.defn
    async def run_setup(self, request: RunSetup) -> SetupReport:
        """Install what a commit needs, once for all who need the same.

        Safe to repeat: what is whole is found, what was interrupted begins anew. Others who need
        the same wait for the one that runs.

        Raises:
            FailureKind.DISK: there is no room for it.
        """
        store = await self._stores.get(request.repository.key)
        async with translated_failures():
            if (found := await _recorded(store, request.setup.record)) is not None:
                return found
            environment = await self._runner.environment(store, request.repository.environment)
            await asyncio.to_thread(self._remember, request)
            if request.allowed is False:
                refused = refused_sentence(request.setup.rule.commands, request.by)
                return SetupReport(
                    environment=request.repository.environment,
                    notes=bounded((*told(environment), refused)),
                    log=await store.put_blob(f"{refused}\n".encode()),
                )
            run = SetupRun(
                request,
                store,
                environment,
                self._pools,
                self._runner,
                self._layers,
                await asyncio.to_thread(registry, self._environ, Path.home()),
                self._redactor,
            )
            report = await (_updated(run) if request.setup.update else run.report())
            return await _record(store, report, request.setup.record)

    def _remember(self, request: RunSetup) -> None:
        """Keep what a person allowed; naming commands by oneself allows them."""
        setup = request.setup
        named = setup.origin is SetupOrigin.PERSON
        if request.allowed is not None or named:
            allowed = named if request.allowed is None else request.allowed
            self._layers.remember(
                setup.digest, allowed=allowed, by=request.by, commands=setup.rule.commands
            )


async def _updated(run: SetupRun) -> SetupReport:
    """Return what an update and its setup come to: run once for all calls that ask for the same."""
    same = run.request.setup.same
    if not same:
        return await set_up_after_update(run)
    ref = shared_setup_ref(run.request.repository.request_key, same)
    async with run.layers.making(f"update-{same[:24]}"):
        report = await _recorded(run.store, ref)
        if report is None:
            report = await set_up_after_update(run)
            if report.environment is not None:
                report = await _record(run.store, report, ref)
    return report


async def _recorded(store: Store, ref: str) -> SetupReport | None:
    """Return what an earlier attempt at a setup came to, None when `ref` is "" or has nothing."""
    found = await journal.recorded(store, ref) if ref else None
    return None if found is None else SetupReport.model_validate_json(found)


async def _record(store: Store, report: SetupReport, ref: str) -> SetupReport:
    """Keep what a setup came to, with all that it names; the first one stands."""
    if not ref:
        return report
    attached = {f"file-{number}": oid for number, oid in enumerate(report.changed.values())}
    attached |= {"log": report.log} if report.log else {}
    batch = store.batch()
    entry = journal.entry(batch, report.model_dump_json().encode(), attached)
    await batch.write()
    try:
        await journal.settle(store, entry, ref)
    except RefConflict:  # two attempts at one setup
        return await _recorded(store, ref) or report
    return report
