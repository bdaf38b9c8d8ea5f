"""Cleaning up: which finished requests leave a host's stores, and what that deletes."""

from contracts.base import Contract, PathText, ShortText


class CleanUp(Contract):
    """Delete finished requests: one of them, or those that have been kept for long enough.

    What a person's repository was given stays.

    Attributes:
        dry_run: say what would be deleted and do nothing.
        request_id: only this request, whatever its age; "" = those that the rest says.
        retention_days: since its end, after which a request leaves; 0 = never.
        budget_bytes: of disk for all stores of the host, beyond which the oldest leave; 0 = any.
    """

    dry_run: bool = False
    request_id: str = ""
    retention_days: int = 0
    budget_bytes: int = 0


class GoneRequest(Contract):
    """A request that was deleted, or would be.

    Attributes:
        id: its workflow id; its key in the store where nobody knows that any more.
        repository: its path, "" when not known.
        ended: seconds since 1970.
        why: it goes, in words.
        stored_bytes: what only its base does not hold of it, roughly.
        refs, conversations, executions: how many of each are deleted.
        branch: that it has delivered, which stays; "" for none.
    """

    id: str
    repository: PathText = ""
    ended: float = 0.0
    why: ShortText = ""
    stored_bytes: int = 0
    refs: int = 0
    conversations: int = 0
    executions: int = 0
    branch: str = ""


class CleanUpReport(Contract):
    """What was deleted.

    Attributes:
        gone: the requests, those that ended first first.
        left: what could not be deleted now, each a sentence.
        stores: how many there are on the host.
        used_bytes: disk that they take, before.
        freed_bytes: of it, so far.
    """

    gone: tuple[GoneRequest, ...] = ()
    left: tuple[ShortText, ...] = ()
    stores: int = 0
    used_bytes: int = 0
    freed_bytes: int = 0
