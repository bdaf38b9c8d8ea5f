"""Names in histories are for ever: renaming one is a breaking change, not a refactoring."""

import json
from collections import Counter

from temporalio import workflow

from tests.architecture import wire


def test_wire_names_equal_the_committed_baseline() -> None:
    """Workflow types, signals, queries, updates, activities, queues and search attributes are as
    committed; `python -m tests.architecture.wire` accepts a deliberate change.
    """
    assert wire.wire_names() == json.loads(wire.BASELINE.read_text("utf-8"))


def test_activity_names_are_unique_across_ports() -> None:
    """No two ports define an activity of one name, since a worker could serve both."""
    counted = Counter(name for names in wire.activity_names().values() for name in names)

    assert [name for name, count in counted.items() if count > 1] == []


def test_every_handler_says_what_it_is_for() -> None:
    """Every signal, query and update carries a description: the web UI is the product's face."""
    silent = []
    for cls in wire.workflow_classes():
        definition = workflow._Definition.must_from_class(cls)
        for handlers in (definition.signals, definition.queries, definition.updates):
            silent += [
                f"{cls.__name__}.{name}"
                for name, handler in handlers.items()
                if not handler.description
            ]

    assert silent == []
