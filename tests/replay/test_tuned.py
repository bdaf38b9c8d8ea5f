"""What people tune is never replayed: all of it changes, and every history replays the same."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.minutes

ROOT = Path(__file__).resolve().parents[2]
TUNED = (
    *("domain.failures.STRATEGIES", "domain.limits.REQUEST", "domain.limits.PLAN"),
    *("domain.agent.models.FACTS", "domain.agent.models.cost_microusd"),
    "domain.approvals.runs_code.TABLE",
    *("domain.policy.judge.judge", "domain.approvals.paths.CONTROL"),
    *("domain.review.risk.risks", "domain.agent.outputs.OUTPUTS", "domain.agent.roles.read_role"),
)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_history_replays_after_every_rule_price_and_limit_changed(seed: int) -> None:
    """Prompts, tools and rules are in no module that a workflow imports; their values change at
    random and their functions fail when called.
    """
    command = [sys.executable, "-m", "tests.replay.tuned", str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)

    assert set(TUNED) <= set(found["tuned"])
    assert "domain.agent.loop.GO_ON" in found["reworded"]
    assert len(found["replayed"]) >= 230
    assert found["failures"] == {}
