"""A look at a request's base from inside the sandbox: what agents find, what commands lack."""

import datetime as dt

from temporalio import activity
from typing_extensions import override

from activities.failures import translated_failures
from contracts.baseline import (
    CommandsLookedUp,
    LookUpCommands,
    Survey,
    SurveyBase,
    Surveyed,
)
from contracts.ports import SurveyActivities
from contracts.store import RepositoryRef
from domain import ids, shell
from domain.installed import told_to_agents
from infra import survey
from infra.commands import CommandRunner
from infra.store import ANY, RefUpdate, Store, names, records, trees
from infra.store.open_stores import OpenStores
from infra.worktrees.open_pools import OpenPools

_SECONDS = 120


class BaseSurveys(SurveyActivities):
    """Surveys in pooled worktrees, as checks are run."""

    def __init__(self, stores: OpenStores, pools: OpenPools, runner: CommandRunner) -> None:
        self._stores = stores
        self._pools = pools
        self._runner = runner

    @override
    @activity.defn
    async def survey_base(self, request: SurveyBase) -> Surveyed:
        """Find out what agents will find.

        Safe to repeat: what the first time found stands, so that every agent is told the same.
        """
        store = await self._stores.get(request.repository.key)
        ref = ids.survey_ref(request.repository.request_key)
        async with translated_failures():
            if known := store.ref(ref):
                return Surveyed(survey=known)
            output = await self._run(store, request.repository, request.commit, survey.SCRIPT)
            environment = await self._runner.environment(store, request.repository.environment)
            system, tools, dependencies = survey.read(output)
            began = await records.read_time(store, ids.began_ref(request.repository.request_key))
            found = Survey(
                date=dt.datetime.fromtimestamp(began or 0, dt.UTC).date().isoformat(),
                system=system,
                base=f"{request.name} at {request.commit[:12]}",
                tools=tools,
                dependencies=(*told_to_agents(environment.dependencies), *dependencies),
                submodules=tuple(await trees.submodules(store, request.commit)),
            )
            oid = await records.write(store, found)
            await store.update_refs(RefUpdate(ref, oid, ANY))
            return Surveyed(survey=oid)

    @override
    @activity.defn
    async def look_up_commands(self, request: LookUpCommands) -> CommandsLookedUp:
        """Look up the programs of commands without running the commands. Safe to repeat."""
        store = await self._stores.get(request.repository.key)
        needed = [shell.programs(command) for command in request.commands]
        every = tuple(dict.fromkeys(program for programs in needed for program in programs))
        output = ""
        async with translated_failures():
            if every:
                script = survey.lookup_script(every)
                output = await self._run(store, request.repository, request.commit, script)
        lacks = tuple(survey.lacking(programs, output) for programs in needed)
        return CommandsLookedUp(lacks=lacks)

    async def _run(self, store: Store, repository: RepositoryRef, commit: str, line: str) -> str:
        pool = await self._pools.get(repository.key)
        environment = await self._runner.environment(store, repository.environment)
        view = await names.view_of(store, repository.request_key)
        async with pool.checkout(commit, view) as worktree:
            ran = await self._runner.run(worktree, line, environment, timeout_seconds=_SECONDS)
        return ran.text
