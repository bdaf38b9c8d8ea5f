"""The matrix's output: a line a run, JSON lines, and the table in docs/durability.md."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.kill_matrix.plan import FaultKind
from tests.kill_matrix.recovery import Recovery
from tests.kill_matrix.runs import RunResult

_BEGIN = "<!-- kill matrix: written by make kill-matrix -->"
_END = "<!-- kill matrix: end -->"
GOAL_SECONDS = 5.0
GOAL_STOP_SECONDS = 1.0


@dataclass(frozen=True)
class MatrixSetup:
    """How a matrix was made.

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


def line_of(result: RunResult) -> str:
    """Return a run's line."""
    plan, audit = result.plan, result.audit
    firsts = " ".join(f"{one.first:.1f}" for one in result.recoveries if one.first is not None)
    said = "ok" if not result.problems else f"PROBLEMS {'; '.join(result.problems)[:600]}"
    return (
        f"run {plan.number:03d}  {plan.mode.value:8} {len(result.kills):2} kills "
        f"{result.seconds:6.1f} s  turns {audit.turns} calls {audit.calls} "
        f"ids {audit.objects}  repeated {audit.repeated} in flight {audit.in_flight}  "
        f"continued after [{firsts}] s  {said}"
    )


def log_run(path: Path, result: RunResult, *, seed: int) -> None:
    """Append a run to the JSON lines log."""
    record = {
        "run": result.plan.number,
        "seed": seed,
        "mode": result.plan.mode,
        "seconds": round(result.seconds, 2),
        "kill_points": [asdict(kill_point) for kill_point in result.plan.kill_points],
        "kills": [asdict(kill) for kill in result.kills],
        "first": [one.first for one in result.recoveries],
        "last": [one.last for one in result.recoveries],
        "audit": asdict(result.audit),
        "error": result.error,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        log.write(json.dumps(record) + "\n")


def table(results: Sequence[RunResult], setup: MatrixSetup) -> str:
    """Return the matrix's table in Markdown."""
    return "\n".join(_lines(results, setup))


def publish(path: Path, text: str) -> None:
    """Put the table in its place in a document, which is made if it is not there."""
    whole = path.read_text(encoding="utf-8") if path.exists() else "# Durability\n"
    if _BEGIN not in whole:
        whole = f"{whole.rstrip()}\n\n{_BEGIN}\n{_END}\n"
    before, _, rest = whole.partition(_BEGIN)
    after = rest.partition(_END)[2]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{before}{_BEGIN}\n{text}\n{_END}{after}", encoding="utf-8")


def processes_killed(results: Iterable[RunResult]) -> int:
    """Return how many processes were killed."""
    return sum(kill.fault.processes for result in results for kill in result.kills)


def _lines(results: Sequence[RunResult], setup: MatrixSetup) -> Iterator[str]:
    yield "## The kill matrix"
    yield ""
    yield from _made(results, setup)
    yield ""
    yield from _by_fault(results)
    yield ""
    yield from _figures(results)
    yield ""
    yield from _problems(results)


def _made(results: Sequence[RunResult], setup: MatrixSetup) -> Iterator[str]:
    missed = sum(result.missed for result in results)
    most = max((len(result.kills) for result in results), default=0)
    yield (
        f"Made on {setup.date} by `make kill-matrix` (seed {setup.seed}) on a machine with "
        f"{setup.cores} cores, {setup.jobs} runs at a time, in {setup.wall_seconds / 60:.0f} "
        f"minutes: **{processes_killed(results)} processes killed in {len(results)} runs.** A run "
        "is one request with four coders at once, each with five turns, a review of each, one "
        "merge of all four, checks and delivery, on a real server, a real worker, real git and "
        "real sandboxes; the model is the rehearsal server, whose replies take 50 to 150 ms. One "
        f"run has at most {most} kills, each at another moment: a worker's at an event of the "
        f"undisturbed run ({_events(results)} of its {setup.points} events) or at a random "
        "instant. What was killed is started again at once, as the supervisor does it, without "
        f"any other help. Without kills the same run takes {setup.quiet_seconds:.0f} s here. "
        f"{missed} more kills were planned, but the request ended before."
    )


def _events(results: Sequence[RunResult]) -> int:
    """Return at how many events a worker was killed."""
    kills = (kill for result in results for kill in result.kills)
    return len({kill.where for kill in kills if kill.fault is FaultKind.WORKER and kill.where})


def _by_fault(results: Sequence[RunResult]) -> Iterator[str]:
    kills = [kill for result in results for kill in result.kills]
    counts = Counter(kill.fault for kill in kills)
    every = [one for result in results for one in result.recoveries]
    yield (
        "| killed process | kills | back after: p50 s | a step done: p50 / p95 / max s "
        "| all started again: p95 / max s |"
    )
    yield "|---|---|---|---|---|"
    for fault in FaultKind:
        if counts[fault]:
            of_fault = [one for one in every if one.kill.fault is fault]
            back = [kill.up - kill.time for kill in kills if kill.fault is fault and kill.up]
            figures = f"{_at(back, 0.5)} | {_firsts(of_fault)} | {_lasts(of_fault)}"
            yield f"| {fault.value} | {counts[fault]} | {figures} |"
    yield ""
    yield (
        "The last two figures count from the moment at which the process was back (the worker "
        "polls, the server answers, a frozen worker continues): until any workflow of the request "
        "finished a step, and until the last activity that was interrupted was started again."
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


def _figures(results: Sequence[RunResult]) -> Iterator[str]:
    audits = [result.audit for result in results]
    passed = sum(not result.problems for result in results)
    yield "| audited after each run, without any process of the product | |"
    yield "|---|---|"
    yield f"| runs that passed the audit in every point | {passed} of {len(results)} |"
    yield f"| recorded model calls that were paid again | {sum(one.repeated for one in audits)} |"
    yield (
        "| model calls paid again: reply streaming, or sent but not recorded, at a kill | "
        f"{sum(one.in_flight for one in audits)} of "
        f"{sum(one.turns + one.in_flight for one in audits)} |"
    )
    yield f"| tool calls, each with one journal entry | {sum(one.calls for one in audits)} |"
    yield f"| model turns, each in its log | {sum(one.turns for one in audits)} |"
    objects = sum(one.objects for one in audits)
    yield f"| object ids in the histories, each in the store | {objects} |"
    yield f"| refs of rescued work that was not needed | {sum(one.rescued for one in audits)} |"


def _problems(results: Sequence[RunResult]) -> Iterator[str]:
    """Yield every problem."""
    found = [f"run {one.plan.number}: {text[:300]}" for one in results for text in one.problems]
    every = [one for result in results for one in result.recoveries if one.first is not None]
    late = [one for one in every if (one.first or 0.0) > _goal(one)]
    if late:
        found.append(
            f"{len(late)} of {len(every)} kills were followed by a step later than the goal "
            f"({GOAL_SECONDS:.0f} s, after an orderly stop {GOAL_STOP_SECONDS:.0f} s)"
        )
    yield "Problems:" if found else "No problems."
    if found:
        yield ""
        yield from (f"- {sentence}." for sentence in found)


def _goal(recovery: Recovery) -> float:
    return GOAL_STOP_SECONDS if recovery.kill.fault is FaultKind.TERM else GOAL_SECONDS
