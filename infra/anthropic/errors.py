"""How a call of the model ends without a usable reply."""

import asyncio

from contracts.failures import FailureKind
from contracts.model import Usage
from domain.agent.conditions import Repair, Switch


class ModelServiceError(Exception):
    """A call that got no usable reply.

    Attributes:
        kind: what is done about it is `domain.failures`' table.
        condition: name of the row of `domain.agent.conditions` that holds; "" when nothing was
            sent.
        retry_after_seconds: what the service asks for, at most a day; None when it does not say.
        usage: what it may have to be paid for: a model had begun, or what came cannot be read.
            None when nothing came; a service answers before its model begins.
        repair: what may be changed before it is sent once more.
        switch: when the fallback model is asked instead.
    """

    def __init__(
        self,
        kind: FailureKind,
        message: str,
        *,
        condition: str = "",
        retry_after_seconds: float | None = None,
        usage: Usage | None = None,
        repair: Repair | None = None,
        switch: Switch = Switch.NEVER,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.condition = condition
        self.retry_after_seconds = retry_after_seconds
        self.usage = usage
        self.repair = repair
        self.switch = switch


class CallCancelled(asyncio.CancelledError):
    """A call was cancelled after a model had begun to reply; `usage` may have to be paid for."""

    def __init__(self, usage: Usage) -> None:
        super().__init__()
        self.usage = usage
