"""How long the judgement of a command takes, beside splitting it into words."""

import shlex
import statistics
import time
from collections.abc import Callable

from bench.figures import Figure, Name
from contracts.permissions import Scope
from contracts.verdicts import Permission
from domain.policy.judge import Policy, judge_call
from domain.policy.settings import SettingsSource, combined, written
from domain.policy.tools import BUILT_IN

_TIMES = 400
_COMMANDS = (
    "python -m pytest -q tests/test_cart.py",
    "cd src && npm run build && npm run test -- --watch=false | tail -n 40",
    'for f in src/*.py; do ruff check "$f"; done',
    "git diff --stat HEAD~1 > /tmp/stat.txt 2>&1",
    "timeout 60 env CI=1 make -j4 check",
    "grep -rn 'compute_total' src | xargs -n 1 echo | sort -u",
)


def _policy() -> Policy:
    """Return a policy of a hundred rules, none of which matches."""
    rules = [f"Bash(tool{number} deploy:*)" for number in range(70)]
    rules += [f"Edit(./protected{number}/**)" for number in range(30)]
    said = written({"permissions": {"deny": rules}})
    return Policy(combined([SettingsSource(Scope.USER, "bench", said)], BUILT_IN), BUILT_IN)


def _median_ms(act: Callable[[str], object]) -> float:
    taken = []
    for number in range(_TIMES):
        command = _COMMANDS[number % len(_COMMANDS)]
        began = time.perf_counter()
        act(command)
        taken.append((time.perf_counter() - began) * 1_000)
    return statistics.median(taken)


async def measure() -> list[Figure]:
    """Return milliseconds, median of 400 judgements by a hundred rules."""
    policy, tool = _policy(), BUILT_IN["run_command"]

    def judge(command: str) -> None:
        found = judge_call(policy, "run_command", tool, {"command": command})
        assert found.permission is not Permission.DENY

    judge(_COMMANDS[0])
    return [Figure(Name.POLICY_P50, _median_ms(judge), "ms", _median_ms(shlex.split))]
