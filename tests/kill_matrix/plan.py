"""Which blow falls in which run, and when: drawn from a seed, before anything runs."""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.kill_matrix.following import Point


class FaultKind(StrEnum):
    """What is done to a process."""

    WORKER = "worker"
    """The worker, SIGKILL."""
    TERM = "worker, asked to end"
    """The worker, SIGTERM: a graceful stop, no kill."""
    SERVER = "server"
    """The Temporal server, SIGKILL."""
    BOTH = "worker and server"
    """Both at once, SIGKILL: as when the machine fails."""
    TOOL = "tool's process"
    """A process of a coder's command, its sandbox included, SIGKILL."""
    GIT = "git process"
    """One of the long-lived git processes of the worker, SIGKILL."""
    FREEZE = "worker, frozen"
    """The worker, SIGSTOP, later SIGCONT; nobody stands in for it."""
    ZOMBIE = "worker, frozen and replaced"
    """The worker, SIGSTOP; a second one takes over; SIGCONT while both live."""
    STARTER = "starter"
    """The watching `starter.py run`, SIGKILL; then `watch`."""
    SUPERVISOR = "supervisor"
    """The supervisor, SIGKILL: server and worker die with it."""

    @property
    def kills(self) -> int:
        """How many processes are killed by it; a stop or a freeze kills none."""
        if self is FaultKind.BOTH:
            return 2
        return 0 if self in {FaultKind.TERM, FaultKind.FREEZE, FaultKind.ZOMBIE} else 1


class Mode(StrEnum):
    """How the moments of a run's blows are chosen."""

    EVENT = "event"
    """The worker dies when an event appears that the undisturbed run had."""
    RANDOM = "random"
    """The worker, or worker and server, die at random instants."""
    TOOL = "tool"
    """Children of the worker die."""
    SERVER = "server"
    """The server dies at random instants."""
    FREEZE = "freeze"
    """The worker is stopped for a while, then continued."""
    STARTER = "starter"
    """Everything was brought up by `starter.py run`; it or the supervisor dies."""
    STOP = "stop"
    """The worker is asked to end."""


@dataclass(frozen=True)
class KillPoint:
    """
    One blow.

    Attributes:
        at: falls when this point appears; None: `after` seconds after the last blow was mended.
        seconds: how long a freeze lasts, or how late `watch` follows.
    """

    harm: FaultKind
    at: Point | None = None
    after: float = 0.0
    seconds: float = 0.0


@dataclass(frozen=True)
class RunPlan:
    """One run of the reference request and the blows that fall in it."""

    number: int
    mode: Mode
    strikes: tuple[KillPoint, ...]


USUAL = 280
"""Blows of a matrix; more than 200 of them fall as kills even if some requests end before."""
TOGETHER = 10
"""Events at which the worker dies in one run, far apart."""
_PER_RUN = {
    Mode.RANDOM: 6,
    Mode.TOOL: 3,
    Mode.SERVER: 20,
    Mode.FREEZE: 2,
    Mode.STARTER: 2,
    Mode.STOP: 4,
}
_SHARE = {
    Mode.EVENT: 0.50,
    Mode.RANDOM: 0.15,
    Mode.TOOL: 0.12,
    Mode.SERVER: 0.10,
    Mode.FREEZE: 0.05,
    Mode.STARTER: 0.05,
    Mode.STOP: 0.03,
}
_FREEZES = (6.0, 8.0, 12.0, 6.0, 20.0, 60.0)


def plans(
    points: Sequence[Point],
    *,
    blows: int,
    seed: int,
    modes: Sequence[Mode],
    together: int = TOGETHER,
) -> list[RunPlan]:
    """
    Return the runs for about this many blows, shared out over the modes, in a mixed order.

    Args:
        points: of the undisturbed run, in the order in which they appeared.
        blows: in all; 0 means one for each point, and as many of the other modes as usual.
        seed: the same seed and points give the same plans.
        modes: that take part; each keeps its share of the others.
        together: how many events are struck in one run.
    """
    wanted = blows or USUAL
    whole = sum(_SHARE[mode] for mode in modes)
    drawn: list[tuple[Mode, tuple[KillPoint, ...]]] = []
    for mode in modes:
        # Of the mode's own, so that a mode alone is drawn as in the whole.
        dice = random.Random(f"{seed} {mode}")
        count = max(1, round(wanted * _SHARE[mode] / whole))
        if mode is Mode.EVENT and not blows:
            count = len(points)
        size = together if mode is Mode.EVENT else _PER_RUN[mode]
        drawn += [(mode, strikes) for strikes in _runs(mode, count, size, points, dice)]
    random.Random(seed).shuffle(drawn)
    return [RunPlan(number, mode, strikes) for number, (mode, strikes) in enumerate(drawn, 1)]


def _runs(
    mode: Mode, count: int, size: int, points: Sequence[Point], dice: random.Random
) -> Iterator[tuple[KillPoint, ...]]:
    """Yield the strikes of each run of one mode, at most `size` a run and `count` in all."""
    runs = -(-count // size)
    if mode is Mode.EVENT:
        chosen = _spread(points, count, dice)
        for first in range(runs):
            # Every n-th, so that the points of one run lie far apart.
            yield tuple(KillPoint(FaultKind.WORKER, at=point) for point in chosen[first::runs])
        return
    for run in range(runs):
        here = min(size, count - run * size)
        yield tuple(_strike(mode, run, number, dice) for number in range(here))


def _spread(points: Sequence[Point], count: int, dice: random.Random) -> list[Point]:
    """Return that many points, one out of each of as many equal stretches, in order."""
    if count >= len(points):
        return list(points)
    edges = [round(index * len(points) / count) for index in range(count + 1)]
    return [points[dice.randrange(a, b)] for a, b in itertools.pairwise(edges)]


def _strike(mode: Mode, run: int, number: int, dice: random.Random) -> KillPoint:
    after = dice.uniform(0.0, 2.0)
    match mode:
        case Mode.SERVER:
            return KillPoint(FaultKind.SERVER, after=dice.uniform(0.0, 0.5))
        case Mode.TOOL:
            harm = FaultKind.TOOL if number else FaultKind.GIT
            return KillPoint(harm, after=dice.uniform(0.0, 0.15))
        case Mode.FREEZE:
            harm = FaultKind.ZOMBIE if (run + number) % 2 else FaultKind.FREEZE
            seconds = _FREEZES[(2 * run + number) % len(_FREEZES)]
            return KillPoint(harm, after=dice.uniform(0.3, 2.0), seconds=seconds)
        case Mode.STARTER:
            harm = FaultKind.SUPERVISOR if (run + number) % 2 else FaultKind.STARTER
            return KillPoint(harm, after=after, seconds=dice.choice((0.0, 2.5)))
        case Mode.STOP:
            return KillPoint(FaultKind.TERM, after=after)
        case _:
            harm = FaultKind.BOTH if dice.random() < 0.3 else FaultKind.WORKER
            return KillPoint(harm, after=after)
