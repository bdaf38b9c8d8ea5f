"""Cleaning up: which finished requests leave a host's stores, and what that deletes."""

from contracts.base import Contract, PathText, ShortText


class CleanUp(Contract):
    """Delete finished requests: one of them, or those that have been kept for long enough.

    What a person's repository was given stays.

    Attributes:
        dry_run: say what would be deleted and do nothing.
        request_id: only this request, whatever its age; "" = those that the rest says.
        retention_days: since its end, after which a request leaves; 0 = never.
        budget_bytes: of disk for all stores and layers of the host, beyond which the oldest
            requests leave; 0 = any.
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


class GoneLayer(Contract):
    """What a setup installed and no request needs any more; it was deleted, or would be.

    Attributes:
        name: of the layer.
        commands: what installed it.
        used: when a command last had it, in seconds since 1970.
        bytes: of disk.
    """

    name: str
    commands: tuple[str, ...] = ()
    used: float = 0.0
    bytes: int = 0


class CleanUpReport(Contract):
    """What was deleted.

    Attributes:
        gone: the requests, those that ended first first.
        left: what could not be deleted now, each a sentence.
        stores: how many there are on the host.
        used_bytes: disk that they take, before.
        freed_bytes: of stores and layers, so far.
        layers: those that no open request and no request that stays uses.
        layer_count, layer_bytes: of all layers of the host, before.
    """

    gone: tuple[GoneRequest, ...] = ()
    left: tuple[ShortText, ...] = ()
    stores: int = 0
    used_bytes: int = 0
    freed_bytes: int = 0
    layers: tuple[GoneLayer, ...] = ()
    layer_count: int = 0
    layer_bytes: int = 0
