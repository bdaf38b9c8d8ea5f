"""The branch that a request delivers: one push into the user's repository."""

from contracts.base import Contract, ObjectId, PathText, ShortText
from contracts.store import RepositoryRef


class DeliverBranch(Contract):
    """Push one branch into the user's repository; it must not exist unless this call made it.

    Attributes:
        moves_from: the commit at which an earlier attempt has delivered it: from there it is moved.
    """

    repository: RepositoryRef
    path: PathText
    branch: str
    commit: ObjectId
    base: ObjectId
    moves_from: ObjectId | None = None


class Delivered(Contract):
    """The branch as it stands in the user's repository."""

    branch: str
    commit: ObjectId
    diffstat: ShortText
