"""ReconcileWorkflow on a real server."""

import pytest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import CancelledError

from contracts.reconcile import Reconcile, ReconcileReport
from tests.workflows.world import WorkflowEnv, until
from workflows.reconcile import ReconcileWorkflow

pytestmark = pytest.mark.system


async def test_one_look(client: Client) -> None:
    """One run is one look by the very host that was named, and its result is the report."""
    world = WorkflowEnv(client, {})
    asks = Reconcile(host_id=world.name, dry_run=True)
    async with world.at_work():
        found = await (await world.start(ReconcileWorkflow, asks)).result()

    assert world.disk.looks == [asks]
    assert found == ReconcileReport(host_id=world.name, dry_run=True, leases=0)


async def test_stopped_once(client: Client) -> None:
    """An activity that fails while it is told to stop is not begun again: nobody asks twice."""
    world = WorkflowEnv(client, {})
    world.disk.slow = True
    async with world.at_work():
        handle = await world.start(ReconcileWorkflow, Reconcile(host_id=world.name))
        await until(lambda: world.disk.looks)
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as ended:
            await handle.result()

    assert isinstance(ended.value.cause, CancelledError)
    assert len(world.disk.looks) == 1
