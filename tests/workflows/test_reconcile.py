"""
ReconcileWorkflow on a real server.
"""

import pytest
from temporalio.client import Client

from contracts.reconcile import Reconcile, ReconcileReport
from tests.workflows.world import World
from workflows.reconcile import ReconcileWorkflow

pytestmark = pytest.mark.system


async def test_one_look(client: Client) -> None:
    """One run is one look by the very host that was named, and its result is the report."""
    world = World(client, {})
    asks = Reconcile(host_id=world.name, dry_run=True)
    async with world.at_work():
        found = await (await world.start(ReconcileWorkflow, asks)).result()

    assert world.disk.looks == [asks]
    assert found == ReconcileReport(host_id=world.name, dry_run=True, leases=0)
