"""Why a worktree cannot be used."""


class Fenced(Exception):  # noqa: N818 - named for what happened
    """The lease is over: the worktree was released, or leased to another holder."""


class WorktreeBusy(Exception):  # noqa: N818 - named for what happened
    """Another attempt still works in the worktree; ask again later."""


class WorktreeBroken(Exception):  # noqa: N818 - named for what happened
    """The worktree is missing, unreadable, or cannot be reset to a commit."""
