"""A change of a workflow's command order is seen when it is made, not when a run breaks."""

import json

from tests.architecture import fingerprint

HELP = """
The commands of {name} changed. Runs that are open replay the old order and would stop.
- If no run can be open (not released yet), accept it: python -m tests.architecture.fingerprint
- Else guard the change with workflow.patched("<id>"), see docs/evolution.md, and record histories
  of both ways (make record). Replay of recorded histories is what proves compatibility.
"""


def test_command_order_equals_the_committed_baseline() -> None:
    """Each workflow issues its commands in the committed order."""
    baseline = json.loads(fingerprint.BASELINE.read_text("utf-8"))
    present = fingerprint.fingerprints()
    names = {*baseline, *present}
    changed = sorted(name for name in names if baseline.get(name) != present.get(name))

    assert not changed, HELP.format(name=", ".join(changed))
