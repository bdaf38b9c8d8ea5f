"""Numbers in workflow code are part of every recorded history."""

import json

from tests.architecture import frozen

HELP = """
{names} changed in a module that workflows import: requests that are open replay the old number.
- A number that people tune belongs in domain/limits.py or a role's file; it is pinned from there.
- A default of a contract (contracts/wire_defaults.py) never changes: write the value into messages.
- A new constant that no history can know yet: python -m tests.architecture.frozen
"""


def test_numbers_of_workflow_code_equal_the_committed_baseline() -> None:
    """A number that a replay reads changes only on purpose."""
    baseline, present = json.loads(frozen.BASELINE.read_text("utf-8")), frozen.constants()
    names = sorted(n for n in {*baseline, *present} if baseline.get(n) != present.get(n))

    assert not names, HELP.format(names=", ".join(names))
