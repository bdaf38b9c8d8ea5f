"""References into the store: what history holds instead of content."""

from contracts.base import Contract, ObjectId


class ConversationRef(Contract):
    """A conversation log at one moment.

    Attributes:
        id: names the ref `refs/oc/conv/<id>`.
        head: commit of the last turn.
        turns: finished model calls in this log.
        context_tokens: input tokens of the last call, all kinds together; before the first one an
            estimate of what it will be, 0 where there is none.
        model: the model that was asked for, fixed for the whole log.
        open_calls: tool calls of the last reply that the next message must answer.
        window: counts the windows of its agent from 0; each is a log of its own.
    """

    id: str
    head: ObjectId
    turns: int = 0
    context_tokens: int = 0
    model: str = ""
    open_calls: tuple[str, ...] = ()
    window: int = 0


class RepositoryRef(Contract):
    """A managed store of one user repository and one request's place in it.

    Attributes:
        key: names the store's folder; derived from the repository's real path.
        request_key: names the request's refs, `refs/oc/<request_key>/…`.
        target: short name of the ref on which patches land, `refs/oc/target/<target>`.
        environment: object id of the execution environment (PATH, virtual environment).
        host_id: the host that has the store.
    """

    key: str
    request_key: str
    target: str
    environment: ObjectId
    host_id: str
