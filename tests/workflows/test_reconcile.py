"""ReconcileWorkflow on a real server."""

import asyncio

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import CancelledError

from contracts.failures import FailureKind
from contracts.reconcile import Reconcile, ReconcileReport
from tests.fakes.calls import failing
from tests.workflows.workflow_env import WorkflowEnv, until
from workflows.reconcile import ReconcileWorkflow

pytestmark = pytest.mark.system


async def test_a_run_reconciles_once_on_the_named_host(client: Client) -> None:
    """One run is one look by the very host that was named, and its result is the report."""
    env = WorkflowEnv(client, {})
    asks = Reconcile(host_id=env.name, dry_run=True)
    async with env.at_work():
        found = await (await env.start(ReconcileWorkflow, asks)).result()

    assert env.calls.of("reconcile") == [asks]
    assert found == ReconcileReport(host_id=env.name, dry_run=True, leases=0)


async def test_an_activity_that_fails_during_cancellation_is_not_retried(client: Client) -> None:
    """An activity that fails during cancellation is not retried."""
    env = WorkflowEnv(client, {})

    async def look(_: object) -> None:
        """Fail once it is cancelled, as in a worker that is about to end."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as stop:
            raise failing(FailureKind.DISK, "no room") from stop

    env.calls.before["reconcile"] = look
    async with env.at_work():
        handle = await env.start(ReconcileWorkflow, Reconcile(host_id=env.name))
        await until(lambda: env.calls.of("reconcile"))
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as ended:
            await handle.result()

    assert isinstance(ended.value.cause, CancelledError)
    assert len(env.calls.of("reconcile")) == 1
