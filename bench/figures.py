"""The figures by name. A name never changes; docs/benchmarks.md explains each."""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Name(StrEnum):
    """Every figure that the bench prints."""

    DEMO_WALL = "demo.wall"
    DEMO_WORKER_PEAK = "demo.worker_peak"
    DEMO_WHOLE_PEAK = "demo.whole_peak"
    GAP_P50 = "turn.gap_p50"
    GAP_P95 = "turn.gap_p95"
    HISTORY = "turn.history"
    STORED = "turn.stored"
    STORED_DISK = "turn.stored_disk"
    CACHE_READ = "turn.cache_read_share"
    FIRST_REQUEST = "request.first"
    CLI_HELP = "cli.help"
    CLI_LIST = "cli.list"
    CLI_LIST_OPEN = "cli.list_open"
    CLI_INBOX = "cli.inbox"
    WORDS_P50 = "words.seen_p50"
    WORDS_P99 = "words.seen_p99"
    LONG_GAP_P50 = "long.gap_p50"
    SYMBOLS_COLD = "symbols.cold"
    SYMBOLS_KEPT = "symbols.kept"
    FILES_COLD = "files.cold"
    FILES_KEPT = "files.kept"
    WINDOWS_FACTS = "windows.facts_kept"
    WINDOWS_COUNT = "windows.count"
    WINDOWS_TOKENS = "windows.tokens_a_turn"
    WINDOWS_LEDGER = "windows.ledger"
    WINDOWS_OPEN_P50 = "windows.open_p50"
    POLICY_P50 = "policy.p50"
    EDIT_P50 = "edit.p50"
    PATCH_P50 = "patch.p50"
    RECALL_FIRST = "recall.first"
    RECALL_P50 = "recall.p50"
    RECALL_P95 = "recall.p95"


@dataclass(frozen=True)
class Goal:
    """What a figure has to keep on a quiet machine of 2 cores; None = no bound."""

    most: float | None = None
    least: float | None = None
    most_ratio: float | None = None

    def words(self) -> str:
        """Return the goal as docs/benchmarks.md says it."""
        bounds = (("≤ {}", self.most), ("≥ {}", self.least), ("ratio ≤ {}", self.most_ratio))
        return ", ".join(text.format(f"{at:,g}") for text, at in bounds if at is not None)

    def reached(self, value: float, ratio: float | None) -> bool:
        """Return whether a value and its ratio to its baseline keep it."""
        return (
            (self.most is None or value <= self.most)
            and (self.least is None or value >= self.least)
            and (self.most_ratio is None or (ratio is not None and ratio <= self.most_ratio))
        )


GOALS = {
    Name.DEMO_WALL: Goal(most=30),
    Name.GAP_P50: Goal(most=25, most_ratio=1.5),
    Name.HISTORY: Goal(most=2_048),
    Name.STORED: Goal(most=10_000),
    Name.CACHE_READ: Goal(least=0.95),
    Name.FIRST_REQUEST: Goal(most=12_000),
    Name.CLI_HELP: Goal(most=150),
    Name.CLI_LIST: Goal(most=400),
    Name.CLI_LIST_OPEN: Goal(most=400),
    Name.WORDS_P99: Goal(most=100),
    Name.LONG_GAP_P50: Goal(most_ratio=1.2),
    Name.SYMBOLS_COLD: Goal(most=2),
    Name.SYMBOLS_KEPT: Goal(most=20),
    Name.FILES_COLD: Goal(most=1),
    Name.FILES_KEPT: Goal(most=20),
    Name.WINDOWS_FACTS: Goal(least=1),
    Name.WINDOWS_TOKENS: Goal(most_ratio=1.1),
    Name.POLICY_P50: Goal(most=1),
    Name.EDIT_P50: Goal(most=3),
    Name.PATCH_P50: Goal(most=20),
    Name.RECALL_P95: Goal(most=50),
}
"""Cache reads at 40 turns; the facts and tokens of windows at 5,000."""


@dataclass(frozen=True)
class Figure:
    """One measured value.

    Attributes:
        baseline: what it is compared with, measured in the same run; None = nothing fits.
    """

    name: Name
    value: float
    unit: str
    baseline: float | None = None

    def line(self) -> str:
        """Return the figure as one JSON object."""
        ratio = self.value / self.baseline if self.baseline else None
        goal = GOALS.get(self.name)
        fields = {
            "figure": self.name.value,
            "value": round(self.value, 3),
            "unit": self.unit,
            "baseline": None if self.baseline is None else round(self.baseline, 3),
            "ratio": None if ratio is None else round(ratio, 3),
            "goal": goal.words() if goal else None,
            "reached": goal.reached(self.value, ratio) if goal else None,
        }
        return json.dumps(fields, ensure_ascii=False)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the value below which this share of the values lies; the median at 0.5."""
    if share == 0.5:
        return statistics.median(values)
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
