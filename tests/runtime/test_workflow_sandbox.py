"""The workflow sandbox: which imports pass and which are refused."""

import uuid

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from contracts.visibility import RunState
from runtime.workflow_sandbox import workflow_runner
from tests.runtime.flows.clock import ClockWorkflow
from tests.runtime.flows.library import LibraryWorkflow
from tests.runtime.flows.permitted import PermittedWorkflow
from tests.runtime.flows.sibling import SiblingWorkflow

pytestmark = pytest.mark.system


async def test_contracts_pass_through(client: Client) -> None:
    """Inside a workflow contracts are the worker's own classes, under the strict import policy."""
    queue = uuid.uuid4().hex
    async with Worker(
        client, task_queue=queue, workflows=[PermittedWorkflow], workflow_runner=workflow_runner()
    ):
        same = await client.execute_workflow(
            PermittedWorkflow.run, RunState.DONE, id=queue, task_queue=queue
        )

    assert same


@pytest.mark.parametrize(
    ("refused", "why"),
    [
        (LibraryWorkflow, "structlog"),
        (SiblingWorkflow, "talkative"),
        (ClockWorkflow, "datetime.now"),
    ],
    ids=["a library", "an unlisted sibling", "the clock"],
)
async def test_other_imports_are_refused(client: Client, refused: type, why: str) -> None:
    """A workflow module that imports a library or reads the clock fails the worker's start."""
    with pytest.raises(RuntimeError, match="Failed validating workflow") as caught:
        Worker(client, task_queue="never", workflows=[refused], workflow_runner=workflow_runner())

    assert why in repr(caught.value.__cause__)
