"""One setup: its commands run on a clean checkout, and what they installed becomes a layer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from temporalio import activity

from activities.installed import told
from contracts import wire_defaults
from contracts.checks import CheckResult
from contracts.repository import Environment
from contracts.setup import RunSetup, SetupReport
from domain.dependencies import build_caches, home_caches, may_be_installed, places
from domain.setup_words import ran_sentence
from domain.text import Redact, clip, for_people, listing
from infra.commands import CommandRun, CommandRunner, home_of, undo, write_settings
from infra.layers import Kept, Layer, Layers, parts_of
from infra.registry import Registry
from infra.sandbox.toolchain import toolchain_binds
from infra.store import Store, names, records, trees
from infra.tree_environment import with_layer
from infra.worktrees.handle import WorktreeHandle
from infra.worktrees.open_pools import OpenPools

_TAIL = 900
_LOG_BYTES = 200_000
_NOTE_CHARS = 1_000
_HOMES = (Path("/root"), Path("/home"))


@dataclass(frozen=True)
class SetupRun:
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
        """Return what the setup comes to, having run it where its result is missing."""
        name = self.request.setup.layer
        async with self.layers.making(name):
            layer = await asyncio.to_thread(self.layers.find, name)
            if layer is not None:
                await asyncio.to_thread(self.layers.note_use, name)
                return await self._installed(layer, ())
            return await self._run()

    @contextlib.asynccontextmanager
    async def checkout(self) -> AsyncIterator[WorktreeHandle]:
        """Lend a clean checkout of the commit, with the settings of the package managers."""
        pool = await self.pools.get(self.request.repository.key)
        view = await names.view_of(self.store, self.request.repository.request_key)
        async with pool.checkout(self.request.commit, view) as worktree:
            await asyncio.to_thread(write_settings, worktree, self.registry)
            yield worktree

    async def _run(self) -> SetupReport:
        """Run the commands on a clean checkout and keep what they installed."""
        outputs, results = list[str](), list[CheckResult]()
        async with self.checkout() as worktree:
            for command in self.request.setup.rule.commands:
                result, output = await self.command(worktree, command)
                results.append(result)
                outputs.append(output)
                if not result.passed:
                    break
            log = await self.keep_log(outputs)
            if not results[-1].passed:
                return SetupReport(environment=None, results=tuple(results), log=log)
            kept = await self._keep(worktree, results)
        report = await self._installed(kept.layer, tuple(results), kept.notes)
        return report.model_copy(update={"log": log})

    async def keep_log(self, outputs: Sequence[str]) -> str:
        """Keep the end of all output; return its object id."""
        return await self.store.put_blob("\n".join(outputs).encode()[-_LOG_BYTES:])

    async def command(self, worktree: WorktreeHandle, command: str) -> tuple[CheckResult, str]:
        """Run one command with a network; return what it came to, and its output with it.

        Raises:
            LowSpaceError: the disk is full, and not by this command.
        """
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
        output = f"$ {command}\n{self._shown(ran.whole)}\n[{ran.ending}]\n"
        return self._result(command, ran), output

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
        caches = [each.path for each in (*home_caches(files), *build_caches(files))]
        parts = parts_of(left.ignored, files, found, caches)
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
            notes=bounded((sentence, *empty, *told(environment), *notes)),
        )


def bounded(notes: Sequence[str]) -> tuple[str, ...]:
    """Return notes, each once and short enough for history."""
    return tuple(clip(note, _NOTE_CHARS) for note in dict.fromkeys(notes))


def _tail(text: str) -> str:
    plain = for_people(text[-20_000:], 20_000)
    if len(plain) <= _TAIL:
        return plain
    last = plain[-_TAIL:]
    return "…\n" + (last.partition("\n")[2] or last)
