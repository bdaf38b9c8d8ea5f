"""The canary: every private part of the SDK that the simulation uses is unchanged."""

import importlib
import json
import pkgutil
from pathlib import Path

import workflows
from tests.simulation.adapter import private_shape
from tests.simulation.simulate import CLASSES


def test_the_private_side_of_the_sdk_is_what_it_was() -> None:
    """An upgrade of temporalio that changes fields, jobs, commands or flags fails here, by name.

    Read what changed, teach `adapter` and `commands` about it, then write the new list down.
    """
    known = json.loads(Path(__file__).with_name("private_shape.json").read_text())

    assert private_shape() == known


def test_every_workflow_of_the_product_can_be_simulated() -> None:
    """Every workflow class of the product is known to the simulation."""
    found = set()
    for module in pkgutil.iter_modules(workflows.__path__, "workflows."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and hasattr(value, "__temporal_workflow_definition"):
                found.add(value)

    assert {cls for cls in found if cls.__module__.startswith("workflows.")} == {*CLASSES.values()}
