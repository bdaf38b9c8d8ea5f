"""
What the matrix prints and keeps: a line a run, JSON lines, and the table in docs/durability.md.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.kill_matrix.plan import FaultKind
from tests.kill_matrix.recovery import Recovery
from tests.kill_matrix.runs import Outcome

_BEGIN = "<!-- kill matrix: written by make kill-matrix -->"
_END = "<!-- kill matrix: end -->"
GOAL_SECONDS = 5.0
GOAL_STOP_SECONDS = 1.0


@dataclass(frozen=True)
class Facts:
    """
    How a matrix was made.

    Attributes:
        date: as YYYY-MM-DD.
        points: events of the undisturbed run.
        quiet_seconds: how long the undisturbed run took.
        wall_seconds: of everything.
    """

    date: str
    seed: int
    jobs: int
    cores: int
    points: int
    quiet_seconds: float
    wall_seconds: float


def line_of(outcome: Outcome) -> str:
    """Return a run's line."""
    plan, verdict = outcome.plan, outcome.verdict
    firsts = " ".join(f"{one.first:.1f}" for one in outcome.recoveries if one.first is not None)
    said = "ok" if not outcome.faults else f"FAULT {'; '.join(outcome.faults)[:600]}"
    return (
        f"run {plan.number:03d}  {plan.mode.value:8} {len(outcome.blows):2} blows "
        f"{outcome.seconds:6.1f} s  turns {verdict.turns} calls {verdict.calls} "
        f"ids {verdict.objects}  repeated {verdict.repeated} in flight {verdict.in_flight}  "
        f"on after [{firsts}] s  {said}"
    )


def log_run(path: Path, outcome: Outcome, *, seed: int) -> None:
    """Append a run to the JSON lines log."""
    record = {
        "run": outcome.plan.number,
        "seed": seed,
        "mode": outcome.plan.mode,
        "seconds": round(outcome.seconds, 2),
        "strikes": [asdict(strike) for strike in outcome.plan.strikes],
        "blows": [asdict(blow) for blow in outcome.blows],
        "first": [one.first for one in outcome.recoveries],
        "last": [one.last for one in outcome.recoveries],
        "verdict": asdict(outcome.verdict),
        "error": outcome.error,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        log.write(json.dumps(record) + "\n")


def table(outcomes: Sequence[Outcome], facts: Facts) -> str:
    """Return the matrix's table in Markdown."""
    return "\n".join(_lines(outcomes, facts))


def publish(path: Path, text: str) -> None:
    """Put the table in its place in a document, which is made if it is not there."""
    whole = path.read_text(encoding="utf-8") if path.exists() else "# Durability\n"
    if _BEGIN not in whole:
        whole = f"{whole.rstrip()}\n\n{_BEGIN}\n{_END}\n"
    before, _, rest = whole.partition(_BEGIN)
    after = rest.partition(_END)[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{before}{_BEGIN}\n{text}\n{_END}{after}", encoding="utf-8")


def kills(outcomes: Iterable[Outcome]) -> int:
    """Return how many processes were killed."""
    return sum(blow.harm.kills for outcome in outcomes for blow in outcome.blows)


def _lines(outcomes: Sequence[Outcome], facts: Facts) -> Iterator[str]:
    yield "## The kill matrix"
    yield ""
    yield from _made(outcomes, facts)
    yield ""
    yield from _harms(outcomes)
    yield ""
    yield from _figures(outcomes)
    yield ""
    yield from _short(outcomes)


def _made(outcomes: Sequence[Outcome], facts: Facts) -> Iterator[str]:
    unstruck = sum(outcome.unstruck for outcome in outcomes)
    most = max((len(outcome.blows) for outcome in outcomes), default=0)
    yield (
        f"Made on {facts.date} by `make kill-matrix` (seed {facts.seed}) on a machine with "
        f"{facts.cores} cores, {facts.jobs} runs at a time, in {facts.wall_seconds / 60:.0f} "
        f"minutes: **{kills(outcomes)} processes killed in {len(outcomes)} runs.** A run is one "
        "request with four coders at once, each with five turns, a review of each, one merge of "
        "all four, checks and delivery, on a real server, a real worker, real git and real "
        "sandboxes; the model is the rehearsal server, whose replies take 50 to 150 ms. At most "
        f"{most} blows fall in one run, each at another moment: a worker's at an event of the "
        f"undisturbed run (it has {facts.points}, of which {_events(outcomes)} were struck) or at "
        "a random instant. What was killed is started again at once, as the supervisor does it, "
        "and nobody does anything else. Without blows the same run takes "
        f"{facts.quiet_seconds:.0f} s here. {unstruck} more blows were planned but not struck: the "
        "request ended before."
    )


def _events(outcomes: Sequence[Outcome]) -> int:
    """Return at how many events a blow fell."""
    blows = (blow for outcome in outcomes for blow in outcome.blows)
    return len({blow.where for blow in blows if blow.harm is FaultKind.WORKER and blow.where})


def _harms(outcomes: Sequence[Outcome]) -> Iterator[str]:
    blows = [blow for outcome in outcomes for blow in outcome.blows]
    counts = Counter(blow.harm for blow in blows)
    every = [one for outcome in outcomes for one in outcome.recoveries]
    yield (
        "| struck | blows | back after: p50 s | a step done: p50 / p95 / max s "
        "| all begun again: p95 / max s |"
    )
    yield "|---|---|---|---|---|"
    for harm in FaultKind:
        if counts[harm]:
            of_harm = [one for one in every if one.blow.harm is harm]
            back = [blow.up - blow.time for blow in blows if blow.harm is harm and blow.up]
            figures = f"{_at(back, 0.5)} | {_firsts(of_harm)} | {_lasts(of_harm)}"
            yield f"| {harm.value} | {counts[harm]} | {figures} |"
    yield ""
    yield (
        "The last two figures count from the moment at which what was struck was back (the worker "
        "polls, the server answers, a frozen worker goes on). The first of them is the next "
        "finished step of any workflow of the request; the second is when the last activity that "
        "was under way at the blow had been begun again."
    )


def _firsts(recoveries: Sequence[Recovery]) -> str:
    firsts = [one.first for one in recoveries if one.first is not None]
    return f"{_at(firsts, 0.5)} / {_at(firsts, 0.95)} / {_at(firsts, 1.0)}"


def _lasts(recoveries: Sequence[Recovery]) -> str:
    lasts = [one.last for one in recoveries if one.last is not None]
    return f"{_at(lasts, 0.95)} / {_at(lasts, 1.0)}"


def _at(values: Sequence[float], share: float) -> str:
    """Return the value below which this share of all lies."""
    if not values:
        return "-"
    return f"{sorted(values)[max(math.ceil(share * len(values)) - 1, 0)]:.1f}"


def _figures(outcomes: Sequence[Outcome]) -> Iterator[str]:
    verdicts = [outcome.verdict for outcome in outcomes]
    whole = sum(not outcome.faults for outcome in outcomes)
    yield "| read after each run, without help of any process of ours | |"
    yield "|---|---|"
    yield f"| runs that are whole in every point | {whole} of {len(outcomes)} |"
    yield f"| kept model calls bought again | {sum(one.repeated for one in verdicts)} |"
    yield (
        "| model calls whose reply was under way, or sent but not kept, at a blow: bought again | "
        f"{sum(one.in_flight for one in verdicts)} of "
        f"{sum(one.turns + one.in_flight for one in verdicts)} |"
    )
    yield f"| tool calls, each with one journal entry | {sum(one.calls for one in verdicts)} |"
    yield f"| model turns, each in its log | {sum(one.turns for one in verdicts)} |"
    objects = sum(one.objects for one in verdicts)
    yield f"| object ids in the histories, each in the store | {objects} |"
    yield f"| refs of work put aside and not needed | {sum(one.rescued for one in verdicts)} |"


def _short(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """Yield what falls short, as it is."""
    found = [f"run {one.plan.number}: {fault[:300]}" for one in outcomes for fault in one.faults]
    every = [one for outcome in outcomes for one in outcome.recoveries if one.first is not None]
    late = [one for one in every if (one.first or 0.0) > _goal(one)]
    if late:
        found.append(
            f"{len(late)} of {len(every)} blows were followed by a step later than the goal "
            f"({GOAL_SECONDS:.0f} s, after an orderly stop {GOAL_STOP_SECONDS:.0f} s)"
        )
    yield "What falls short:" if found else "Nothing falls short."
    if found:
        yield ""
        yield from (f"- {sentence}." for sentence in found)


def _goal(recovery: Recovery) -> float:
    return GOAL_STOP_SECONDS if recovery.blow.harm is FaultKind.TERM else GOAL_SECONDS
