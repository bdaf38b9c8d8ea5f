"""Which kills happen in which run, and when: drawn from a seed before anything runs."""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.kill_matrix.history_follower import HistoryPoint


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
    """The worker, SIGSTOP, later SIGCONT; it is not replaced."""
    ZOMBIE = "worker, frozen and replaced"
    """The worker, SIGSTOP; a second one takes over; SIGCONT while both live."""
    STARTER = "starter"
    """The watching `starter.py run`, SIGKILL; then `watch`."""
    SUPERVISOR = "supervisor"
    """The supervisor, SIGKILL: server and worker die with it."""
    LOOK = "nothing: looked at without a key"
    """`list`, `status`, `log`, `why` and an interrupted `watch`, in a shell without credentials."""
    LOOK_WRONG_KEY = "nothing: looked at with a wrong key"
    """The same in a shell whose key the service refuses."""
    RIVAL = "nothing: a second start with other settings"
    """`run` and `up` in a shell with another key and address; both have to be refused."""
    CANCEL = "nothing: cancelled, then retried"
    """`cancel`, and once the request has ended `retry`."""
    FAIL = "nothing: a task fails, then retried"
    """An agent gives up at the first attempt; once the request has failed, `retry`."""

    @property
    def processes(self) -> int:
        """How many processes it kills; a stop or a freeze kills none."""
        if self is FaultKind.BOTH:
            return 2
        spared = {FaultKind.TERM, FaultKind.FREEZE, FaultKind.ZOMBIE, *LOOKS, *RETRIED}
        return 0 if self in spared else 1


LOOKS = (FaultKind.LOOK, FaultKind.LOOK_WRONG_KEY, FaultKind.RIVAL)
"""What a person may do in another shell while a request runs; nothing of it may do harm."""


RETRIED = (FaultKind.CANCEL, FaultKind.FAIL)
"""Ends of a request after which a person has it go on."""


class Mode(StrEnum):
    """How the moments of a run's kills are chosen."""

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
    LOOK = "look"
    """As `starter`; people look at it from shells with other settings, also after a kill."""
    STOP = "stop"
    """The worker is asked to end."""
    RETRY = "retry"
    """The request is cancelled or fails and is retried, and the worker dies meanwhile."""
    GOAL = "goal"
    """The request has a goal, and the worker, or worker and server, die in its rounds."""
    CLOUD = "cloud"
    """As `event`; the tasks run in the cloud lane, and nothing of their clones may be left."""


AT_EVENTS = (Mode.EVENT, Mode.CLOUD)
"""Modes in which the worker dies at events of the undisturbed run."""


BY_STARTER = (Mode.STARTER, Mode.LOOK)
"""Modes whose services `starter.py run` brings up."""


@dataclass(frozen=True)
class KillPoint:
    """One kill.

    Attributes:
        at: the event; None: `after` seconds after the restart that followed the last kill.
        seconds: how long a freeze lasts, or how late `watch` follows.
        waits: the next kill waits until what was killed is back.
    """

    fault: FaultKind
    at: HistoryPoint | None = None
    after: float = 0.0
    seconds: float = 0.0
    waits: bool = True


@dataclass(frozen=True)
class RunPlan:
    """One run of the reference request and its kill points."""

    number: int
    mode: Mode
    kill_points: tuple[KillPoint, ...]


USUAL = 280
"""Kill points of a matrix: more than 200 processes are killed even if some requests end before."""
TOGETHER = 10
"""Events at which the worker dies in one run, far apart."""
_PER_RUN = {
    Mode.RANDOM: 6,
    Mode.TOOL: 3,
    Mode.SERVER: 20,
    Mode.FREEZE: 2,
    Mode.STARTER: 2,
    Mode.LOOK: 4,
    Mode.STOP: 4,
    Mode.RETRY: 4,
    Mode.GOAL: 5,
}
_SHARE = {
    Mode.EVENT: 0.39,
    Mode.RANDOM: 0.15,
    Mode.TOOL: 0.12,
    Mode.SERVER: 0.10,
    Mode.FREEZE: 0.05,
    Mode.STARTER: 0.05,
    Mode.LOOK: 0.03,
    Mode.STOP: 0.03,
    Mode.RETRY: 0.04,
    Mode.GOAL: 0.04,
    Mode.CLOUD: 0.04,
}
_FREEZES = (6.0, 8.0, 12.0, 6.0, 20.0, 60.0)


def plans(
    points: Sequence[HistoryPoint],
    *,
    kills: int,
    seed: int,
    modes: Sequence[Mode],
    together: int = TOGETHER,
) -> list[RunPlan]:
    """Return the runs for about this many kills, shared out over the modes, in a mixed order.

    Args:
        points: of the undisturbed run, in the order in which they appeared.
        kills: in all; 0 means one for each point, and as many of the other modes as usual.
        seed: the same seed and points give the same plans.
        modes: that take part; each keeps its share of the others.
        together: how many kills at events one run has.
    """
    wanted = kills or USUAL
    whole = sum(_SHARE[mode] for mode in modes)
    drawn: list[tuple[Mode, tuple[KillPoint, ...]]] = []
    for mode in modes:
        # One for each mode, so that a mode alone gets the same plans as among all.
        rng = random.Random(f"{seed} {mode}")
        count = max(1, round(wanted * _SHARE[mode] / whole))
        if mode in AT_EVENTS and not kills:
            count = len(points)
        size = together if mode in AT_EVENTS else _PER_RUN[mode]
        drawn += [(mode, kill_points) for kill_points in _runs(mode, count, size, points, rng)]
    random.Random(seed).shuffle(drawn)
    return [
        RunPlan(number, mode, kill_points) for number, (mode, kill_points) in enumerate(drawn, 1)
    ]


def _runs(
    mode: Mode, count: int, size: int, points: Sequence[HistoryPoint], rng: random.Random
) -> Iterator[tuple[KillPoint, ...]]:
    """Yield the kill points of each run of one mode, at most `size` a run and `count` in all."""
    runs = -(-count // size)
    if mode in AT_EVENTS:
        chosen = _spread(points, count, rng)
        for first in range(runs):
            # Every n-th, so that the points of one run lie far apart.
            yield tuple(KillPoint(FaultKind.WORKER, at=point) for point in chosen[first::runs])
        return
    for run in range(runs):
        here = min(size, count - run * size)
        yield tuple(_kill_point(mode, run, number, rng) for number in range(here))


def _spread(points: Sequence[HistoryPoint], count: int, rng: random.Random) -> list[HistoryPoint]:
    """Return that many points, one out of each of as many equal stretches, in order."""
    if count >= len(points):
        return list(points)
    edges = [round(index * len(points) / count) for index in range(count + 1)]
    return [points[rng.randrange(a, b)] for a, b in itertools.pairwise(edges)]


def _kill_point(mode: Mode, run: int, number: int, rng: random.Random) -> KillPoint:
    after = rng.uniform(0.0, 2.0)
    match mode:
        case Mode.SERVER:
            return KillPoint(FaultKind.SERVER, after=rng.uniform(0.0, 0.5))
        case Mode.TOOL:
            fault = FaultKind.TOOL if number else FaultKind.GIT
            return KillPoint(fault, after=rng.uniform(0.0, 0.15))
        case Mode.FREEZE:
            fault = FaultKind.ZOMBIE if (run + number) % 2 else FaultKind.FREEZE
            seconds = _FREEZES[(2 * run + number) % len(_FREEZES)]
            return KillPoint(fault, after=rng.uniform(0.3, 2.0), seconds=seconds)
        case Mode.STARTER:
            fault = FaultKind.SUPERVISOR if (run + number) % 2 else FaultKind.STARTER
            return KillPoint(fault, after=after, seconds=rng.choice((0.0, 2.5)))
        case Mode.LOOK:
            if number == 1:
                return KillPoint(FaultKind.SUPERVISOR, after=rng.uniform(0.0, 1.0), waits=False)
            # Right after the supervisor died, too, and while it comes back.
            return KillPoint(LOOKS[(run + number) % len(LOOKS)], after=rng.uniform(0.0, 0.5))
        case Mode.STOP:
            return KillPoint(FaultKind.TERM, after=after)
        case Mode.RETRY:
            ends = FaultKind.FAIL if run % 2 and not number else FaultKind.CANCEL
            fault = FaultKind.WORKER if number % 2 else ends
            return KillPoint(fault, after=rng.uniform(0.2, 3.0))
        case _:
            fault = FaultKind.BOTH if rng.random() < 0.3 else FaultKind.WORKER
            return KillPoint(fault, after=after)
