"""The worker serves what workflows call: every method of every port, each on one task queue."""

from collections import Counter
from pathlib import Path

from temporalio import activity
from temporalio.client import Client

import worker
from contracts.ports import PORTS
from infra.sandbox import Sandbox
from runtime import settings

METHODS = sorted(name for port in PORTS for name in port.__abstractmethods__)


async def registered(home: Path, **environ: str) -> Counter[str]:
    """Return how often each activity is registered by a worker with these settings."""
    config = settings.load({"ORCHESTCODE_HOME": str(home), "HOME": str(home), **environ})
    config.ensure_home()
    client = await Client.connect("127.0.0.1:1", lazy=True)
    async with worker.build_activities(config, client, sandbox=Sandbox()) as activities:
        served = [each for queue in activities.values() for each in queue]
    return Counter(str(activity._Definition.must_from_callable(each).name) for each in served)


async def test_every_method_of_every_port_is_registered_once(tmp_path: Path) -> None:
    """One that is missing would keep its workflows waiting for ever, without an error."""
    assert await registered(tmp_path, ANTHROPIC_API_KEY="a-key") == Counter(METHODS)


async def test_a_worker_without_credentials_serves_all_but_the_model(tmp_path: Path) -> None:
    """On a service where another worker may have them."""
    model = {"open_conversation", "call_model", "hand_over"}

    served = await registered(tmp_path, TEMPORAL_ADDRESS="127.0.0.1:1")
    assert served == Counter(name for name in METHODS if name not in model)


def test_a_ports_methods_are_named_once() -> None:
    """The method's name is the activity's name, whatever its port."""
    assert len(METHODS) == len(set(METHODS))
