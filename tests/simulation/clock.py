"""The event queue: simulated time, one seeded source of chance, and a trace of what happened."""

import hashlib
import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

EPOCH_NS = 1_790_000_000_000_000_000
"""When every simulation begins."""
_NANOSECONDS = 1_000_000_000


class LivelockError(Exception):
    """The simulation does not end by itself."""


@dataclass
class Clock:
    """Events in the order of their time; those of one moment in an order that chance decides.

    Attributes:
        now: nanoseconds.
        chance: the only source of randomness of a simulation.
        steps: events so far.
        last: seconds of the last trace line; timers without effect come later.
    """

    seed: int
    cap: int = 200_000
    now: int = EPOCH_NS
    steps: int = 0
    last: float = 0.0
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self._heap: list[tuple[int, float, int, Callable[[], object]]] = []
        self._count = 0
        self._trace = hashlib.sha256()
        self._lines: list[str] | None = None

    @property
    def seconds(self) -> float:
        """Simulated seconds since the beginning."""
        return (self.now - EPOCH_NS) / _NANOSECONDS

    def at(self, delay_seconds: float, event: Callable[[], object]) -> None:
        """Let something happen after a delay."""
        self._count += 1
        when = self.now + int(delay_seconds * _NANOSECONDS)
        heapq.heappush(self._heap, (when, self.chance.random(), self._count, event))

    def soon(self, most_seconds: float, event: Callable[[], object]) -> None:
        """Let something happen after a random delay."""
        self.at(self.chance.uniform(0, most_seconds), event)

    def odds(self, probability: float) -> bool:
        """Return True with a probability."""
        return self.chance.random() < probability

    def run(self, until: Callable[[], bool]) -> None:
        """Run events until none is left or `until` returns True.

        Raises:
            LivelockError: more events than a simulation can need.
        """
        while self._heap and not until():
            self.steps += 1
            if self.steps > self.cap:
                raise LivelockError(f"more than {self.cap:,} events")
            self.now, _, _, event = heapq.heappop(self._heap)
            event()

    def keep_lines(self) -> None:
        """Keep the trace as text, too."""
        self._lines = []

    def trace(self, *words: object) -> None:
        """Add a line to the trace."""
        self.last = self.seconds
        line = f"{self.seconds:.3f} " + " ".join(map(str, words))
        self._trace.update(line.encode() + b"\n")
        if self._lines is not None:
            self._lines.append(line)

    @property
    def lines(self) -> tuple[str, ...]:
        """The trace as text, if it was kept."""
        return tuple(self._lines or ())

    @property
    def fingerprint(self) -> str:
        """The digest of the whole trace."""
        return self._trace.hexdigest()
