"""The setup step: what a base depends on, installed with a network, once for all who need it."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from temporalio import activity
from typing_extensions import override

from activities.failures import translated_failures
from activities.installed import told
from contracts import wire_defaults
from contracts.checks import CheckResult
from contracts.ports import SetupActivities
from contracts.repository import Environment
from contracts.setup import RunSetup, SetupOrigin, SetupReport
from domain.dependencies import home_caches, may_be_installed, places
from domain.setup_words import ran_sentence, refused_sentence
from domain.text import Redact, clip, for_people, listing
from infra.commands import CommandRun, CommandRunner, home_of, undo, write_settings
from infra.layers import Kept, Layer, Layers, parts_of
from infra.registry import Registry, registry
from infra.sandbox.toolchain import toolchain_binds
from infra.store import Store, names, records, trees
from infra.store.open_stores import OpenStores
from infra.tree_environment import with_layer
from infra.worktrees.handle import WorktreeHandle
from infra.worktrees.open_pools import OpenPools

_TAIL = 900
_LOG_BYTES = 200_000
_NOTE_CHARS = 1_000
_HOMES = (Path("/root"), Path("/home"))


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
            environment = await self._runner.environment(store, request.repository.environment)
            await asyncio.to_thread(self._remember, request)
            if request.allowed is False:
                refused = refused_sentence(request.setup.rule.commands, request.by)
                return SetupReport(
                    environment=request.repository.environment,
                    notes=_bounded((*told(environment), refused)),
                    log=await store.put_blob(f"{refused}\n".encode()),
                )
            step = _Step(
                request,
                store,
                environment,
                self._pools,
                self._runner,
                self._layers,
                await asyncio.to_thread(registry, self._environ, Path.home()),
                self._redactor,
            )
            return await step.report()

    def _remember(self, request: RunSetup) -> None:
        """Keep what a person allowed; naming commands by oneself allows them."""
        setup = request.setup
        named = setup.origin is SetupOrigin.PERSON
        if request.allowed is not None or named:
            allowed = named if request.allowed is None else request.allowed
            self._layers.remember(
                setup.digest, allowed=allowed, by=request.by, commands=setup.rule.commands
            )


@dataclass(frozen=True)
class _Step:
    """One setup of one commit."""

    request: RunSetup
    store: Store
    environment: Environment
    pools: OpenPools
    runner: CommandRunner
    layers: Layers
    registry: Registry
    redactor: Callable[[Sequence[str]], Redact]

    async def report(self) -> SetupReport:
        name = self.request.setup.layer
        async with self.layers.making(name):
            layer = await asyncio.to_thread(self.layers.find, name)
            if layer is not None:
                return await self._installed(layer, ())
            return await self._run()

    async def _run(self) -> SetupReport:
        """Run the commands on a clean checkout and keep what they installed."""
        request, outputs, results = self.request, list[str](), list[CheckResult]()
        pool = await self.pools.get(request.repository.key)
        view = await names.view_of(self.store, request.repository.request_key)
        async with pool.checkout(request.commit, view) as worktree:
            await asyncio.to_thread(write_settings, worktree, self.registry)
            for command in request.setup.rule.commands:
                ran = await self._command(worktree, command)
                results.append(self._result(command, ran))
                outputs.append(f"$ {command}\n{self._shown(ran.whole)}\n[{ran.ending}]\n")
                if not ran.passed:
                    break
            log = await self.store.put_blob("\n".join(outputs).encode()[-_LOG_BYTES:])
            if not results[-1].passed:
                return SetupReport(environment=None, results=tuple(results), log=log)
            kept = await self._keep(worktree, results)
        report = await self._installed(kept.layer, tuple(results), kept.notes)
        return report.model_copy(update={"log": log})

    async def _command(self, worktree: WorktreeHandle, command: str) -> CommandRun:
        ran = await self.runner.set_up(
            worktree,
            command,
            self.environment,
            self.registry,
            timeout_seconds=wire_defaults.SETUP_SECONDS,
        )
        activity.logger.info(
            "setup.end", extra={"command": clip(command, 200), "outcome": ran.ending}
        )
        if ran.disk_full and not ran.limit:
            # Raises where it was not this command that took the room: then it is run again.
            await undo(worktree, self.request.commit)
        return ran

    def _result(self, command: str, ran: CommandRun) -> CheckResult:
        return CheckResult(
            command=command,
            exit_code=ran.outcome.exit_code,
            seconds=round(ran.outcome.duration_seconds, 3),
            timed_out=ran.outcome.timed_out,
            tail=_tail(self._shown(ran.whole)),
            limit=ran.limit,
        )

    def _shown(self, text: str) -> str:
        """Return output without the secrets of the person's registries."""
        return self.redactor(self.registry.secrets)(text)

    async def _keep(self, worktree: WorktreeHandle, results: Sequence[CheckResult]) -> Kept:
        files = await trees.paths(self.store, self.request.commit)
        left = await worktree.leftovers()
        found = [place.path for place in places(files)]
        parts = parts_of(left.ignored, files, found, [each.path for each in home_caches(files)])
        kept = await asyncio.to_thread(
            self.layers.keep,
            self.request.setup.layer,
            worktree=worktree.path,
            home=home_of(worktree),
            parts=parts,
            commands=self.request.setup.rule.commands,
            seconds=sum(each.seconds for each in results),
            tools=toolchain_binds(self.environment.path, None, _HOMES),
        )
        others = tuple(each for each in left.others if not may_be_installed(f"{each}/"))
        notes = [f"The setup: {note}." for note in kept.notes]
        if others:
            notes.append(f"The setup wrote {listing(others)}, which git does not ignore: not kept.")
        if left.changed:
            notes.append(f"The setup changed {listing(left.changed)}: not kept.")
        return Kept(kept.layer, tuple(notes))

    async def _installed(
        self, layer: Layer, results: tuple[CheckResult, ...], notes: Sequence[str] = ()
    ) -> SetupReport:
        """Return the environment in which commands find a layer."""
        found = await asyncio.to_thread(layer.dependencies)
        environment = with_layer(self.environment, found)
        sentence = ran_sentence(
            layer.commands, seconds=layer.seconds, size=layer.bytes, now=bool(results)
        )
        empty = () if found else ("The setup installed nothing that git ignores.",)
        return SetupReport(
            environment=await records.write(self.store, environment),
            results=results,
            notes=_bounded((sentence, *empty, *told(environment), *notes)),
        )


def _bounded(notes: Sequence[str]) -> tuple[str, ...]:
    return tuple(clip(note, _NOTE_CHARS) for note in dict.fromkeys(notes))


def _tail(text: str) -> str:
    plain = for_people(text[-20_000:], 20_000)
    if len(plain) <= _TAIL:
        return plain
    last = plain[-_TAIL:]
    return "…\n" + (last.partition("\n")[2] or last)
