"""Collects every name that lands in histories; the one place that touches the SDK's private API."""

import importlib
import json
import pkgutil
from pathlib import Path

from temporalio import activity, workflow

import workflows
from contracts import visibility
from contracts.ports import PORTS
from contracts.task_queue import TaskQueue

BASELINE = Path(__file__).with_name("wire_names.json")


def workflow_classes() -> list[type]:
    """Every class with @workflow.defn below workflows, sorted by name."""
    found: dict[str, type] = {}
    for module in pkgutil.iter_modules(workflows.__path__, "workflows."):
        for value in vars(importlib.import_module(module.name)).values():
            if isinstance(value, type) and workflow._Definition.from_class(value):
                found[value.__name__] = value
    return [found[name] for name in sorted(found)]


def activity_names() -> dict[str, list[str]]:
    """The activities of each port, by the names that histories hold."""
    names: dict[str, list[str]] = {}
    for port in PORTS:
        methods = sorted(port.__abstractmethods__)
        found = [activity._Definition.from_callable(getattr(port, name)) for name in methods]
        names[port.__name__] = sorted(str(one.name) for one in found if one)
    return names


def wire_names() -> dict[str, object]:
    """Everything that must never change its name."""
    described: dict[str, object] = {}
    for cls in workflow_classes():
        definition = workflow._Definition.must_from_class(cls)
        described[str(definition.name)] = {
            "signals": sorted(str(name) for name in definition.signals),
            "queries": sorted(str(name) for name in definition.queries),
            "updates": sorted(str(name) for name in definition.updates),
        }
    return {
        "workflows": described,
        "activities": activity_names(),
        "task_queues": sorted(queue.value for queue in TaskQueue),
        "search_attributes": sorted([visibility.OC_STATE, visibility.OC_PENDING_APPROVALS]),
    }


def write() -> None:
    """Accept the present names as the baseline."""
    BASELINE.write_text(json.dumps(wire_names(), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    write()
