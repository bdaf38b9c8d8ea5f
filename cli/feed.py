"""What the agents of a request say and do, as lines."""

from dataclasses import dataclass
from enum import StrEnum

from infra.live.reader import RunningReply


class FeedKind(StrEnum):
    """What a line of the feed is about, as the line view calls it."""

    BEGINS = "begins"
    TOLD = "told"
    SENT_BACK = "sent back"
    OUTPUT = "output"
    FAILED = "failed"
    SAYS = "says"
    CALLS = "calls"
    HANDS_IN = "hands in"
    FINDING = "found"


@dataclass(frozen=True)
class FeedLine:
    """One thing that an agent said, did or was told.

    Attributes:
        who: task and role, the role alone of an agent without a task.
        text: one harmless line without secrets.
    """

    task: str
    who: str
    kind: FeedKind
    text: str


@dataclass(frozen=True)
class Feed:
    """What agents say and do.

    Attributes:
        lines: the newest, oldest first.
        count: how many there were since somebody began to watch.
        replies: those that are coming just now.
    """

    lines: tuple[FeedLine, ...] = ()
    count: int = 0
    replies: tuple[RunningReply, ...] = ()
