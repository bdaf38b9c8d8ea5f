"""How long to wait before a process that ended is started again."""

FIRST_SECONDS = 0.2
LONGEST_SECONDS = 10.0
_HEALTHY_SECONDS = 30.0


class Backoff:
    """Pauses from 0.2 s, doubling to 10 s; 0.2 s again after the process ran for 30 s."""

    def __init__(self, now: float) -> None:
        self._pause = FIRST_SECONDS
        self._started = now

    def after_end(self, now: float) -> float:
        """Return the seconds to wait after an end; the next start is assumed to follow them."""
        if now - self._started > _HEALTHY_SECONDS:
            self._pause = FIRST_SECONDS
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_SECONDS)
        self._started = now + pause
        return pause
