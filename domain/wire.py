"""What decided histories from before 2026-12: frozen, read by workflows for those alone.

They recorded neither the verdict of a call nor the advice of a failure nor an agent's prices, so a
replay decides again and has to come to the same. Rules, prices
and limits are changed elsewhere.
"""

import re
from types import MappingProxyType

from contracts.agent import ModelPrices
from contracts.failures import FailureKind, RetryAdvice
from contracts.model import ToolUse
from contracts.review import Finding, Patch, ReviewFinish
from contracts.tools import FINISH
from contracts.verdicts import CallVerdict, Effect
from contracts.visibility import RunState
from domain.planning.plan import PlanRules
from domain.wire_paths import path_verdict

_BLOCKING_PRIORITY = 1
PLAN = PlanRules(tasks=24, patterns=32, commands=12, command_chars=4_000)

_EFFECTS = MappingProxyType(
    {
        "view": Effect.READ,
        "search": Effect.READ,
        "edit": Effect.WRITE,
        "run_command": Effect.WRITE,
        FINISH: Effect.END,
    }
)
_DEAREST = ModelPrices(input_usd=10, output_usd=50, max_output_tokens=32_000)
_PRICES = (
    ("claude-opus-5-5", ModelPrices(input_usd=4, output_usd=20, max_output_tokens=128_000)),
    ("claude-sonnet-5-5", ModelPrices(input_usd=2, output_usd=10, max_output_tokens=128_000)),
    ("claude-haiku-5-5", ModelPrices(input_usd=0.5, output_usd=2.5, max_output_tokens=128_000)),
    ("claude-fable-5-1", ModelPrices(input_usd=10, output_usd=50, max_output_tokens=128_000)),
    ("claude-opus-5", ModelPrices(input_usd=5, output_usd=25, max_output_tokens=128_000)),
    ("claude-sonnet-5", ModelPrices(input_usd=2, output_usd=10, max_output_tokens=128_000)),
    ("claude-opus-4-8", ModelPrices(input_usd=5, output_usd=25, max_output_tokens=128_000)),
    ("claude-haiku-4-5", ModelPrices(input_usd=1, output_usd=5, max_output_tokens=64_000)),
)
_MODEL = RetryAdvice(waits=True, state=RunState.WAITING_MODEL)
_HOST = RetryAdvice(waits=True, state=RunState.WAITING_INFRA)
_FINAL = RetryAdvice(waits=False, state=RunState.FAILED)
_SETUP = RetryAdvice(waits=False, state=RunState.WAITING_INFRA)
_ADVICE = MappingProxyType(
    {
        FailureKind.RATE_LIMITED: _MODEL,
        FailureKind.OVERLOADED: _MODEL,
        FailureKind.UNREACHABLE: _MODEL,
        FailureKind.MALFORMED: _MODEL,
        FailureKind.STORE: _HOST,
        FailureKind.BUSY: _HOST,
        FailureKind.DISK: _HOST,
        FailureKind.SANDBOX: _SETUP,
        FailureKind.CREDENTIALS: _SETUP,
        FailureKind.SPEND_LIMIT: RetryAdvice(waits=False, state=RunState.WAITING_BUDGET),
        FailureKind.REFUSED: _FINAL,
        FailureKind.MODEL_REQUEST: _FINAL,
        FailureKind.CONTEXT_FULL: _FINAL,
        FailureKind.FENCED: _FINAL,
        FailureKind.BUG: _FINAL,
    }
)


def effect(use: ToolUse) -> Effect | None:
    """Return what a call may change: as recorded, else by its tool's name; None when unknown."""
    return use.effect or _EFFECTS.get(use.name)


def verdict(use: ToolUse) -> CallVerdict:
    """Return the judgement of a call: as recorded, else from the line that stands in history."""
    if use.verdict is not None:
        return use.verdict
    if use.name == "edit":
        return path_verdict(use.subject)
    return CallVerdict(rule="before 2026-12")


def prices(model: str) -> ModelPrices:
    """Return the prices by which an agent without a pinned configuration was cut."""
    name = model.removesuffix(" (rehearsed)")
    return next((prices for known, prices in _PRICES if name.startswith(known)), _DEAREST)


def advice(kind: str | None) -> RetryAdvice:
    """Return what is done about a failure that was recorded without advice, by its type."""
    known = next((member for member in FailureKind if member.value == kind), None)
    return _ADVICE[known] if known else _SETUP


def objections(verdict: ReviewFinish | None, patch: Patch) -> tuple[Finding, ...] | None:
    """Return the findings that blocked: priority 0 or 1, with a path that the patch touches."""
    found = tuple(
        finding
        for finding in (verdict.findings if verdict else ())
        if finding.priority <= _BLOCKING_PRIORITY and _touches(patch, finding.path)
    )
    return found or None


def _touches(patch: Patch, path: str | None) -> bool:
    if path is None or not (wanted := _plain(path)):
        return False
    if any(_same(wanted, _plain(each)) for each in patch.paths):
        return True
    # Only the first paths of a large patch are listed: the finding gets the benefit of the doubt.
    return patch.files > len(patch.paths)


def _plain(path: str) -> str:
    slashed = path.strip().strip("`'\"").replace("\\", "/")
    without_line = re.sub(r"(:\d+){1,2}(-\d+)?$|#L\d+(-L?\d+)?$", "", slashed)
    return re.sub(r"^(\./|/)+", "", without_line).casefold()


def _same(wanted: str, known: str) -> bool:
    # Written from a worktree's root, from a diff (`a/`, `b/`) or from a sub-folder.
    return wanted == known or wanted.endswith("/" + known) or known.endswith("/" + wanted)
