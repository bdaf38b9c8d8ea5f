"""How long to wait before something that ended is started again."""

FIRST_SECONDS = 0.2
LONGEST_SECONDS = 10.0
_HEALTHY_SECONDS = 30.0


class Backoff:
    """
    Pauses of 0.2 s doubling to 10 s, short again after 30 s of health.

    Args:
        now: seconds of a clock that never goes back, when the first start is made.
    """

    def __init__(self, now: float) -> None:
        self._pause = FIRST_SECONDS
        self._started = now

    def after_end(self, now: float) -> float:
        """
        Return the seconds to wait now that it has ended; the next start is taken to follow then.
        """
        if now - self._started > _HEALTHY_SECONDS:
            self._pause = FIRST_SECONDS
        pause, self._pause = self._pause, min(self._pause * 2, LONGEST_SECONDS)
        self._started = now + pause
        return pause
