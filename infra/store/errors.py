"""The store's errors."""

from typing_extensions import override


class StoreError(Exception):
    """The store could not do what was asked: a wrong argument or a broken environment.

    Never a verdict on the work: retry, repair or ask, but do not evict a patch for it.
    """


class ObjectMissing(Exception):  # noqa: N818 - named for what happened
    """An object, or one it needs, is not in the store.

    Attributes:
        name: what was looked for.
        detail: what git said; may be empty.
    """

    def __init__(self, name: str, detail: str = "") -> None:
        self.name = name
        self.detail = detail
        super().__init__(name, detail)

    @override
    def __str__(self) -> str:
        return f"not in the store: {self.name}" + (f" ({self.detail})" if self.detail else "")


class RefConflict(Exception):  # noqa: N818 - named for what happened
    """A reference is not where the caller expected it: another writer was faster.

    Attributes:
        ref: its full name.
        expected: the id the caller named; None = it should not exist.
        actual: the id found; None = it does not exist.
    """

    def __init__(self, ref: str, expected: str | None, actual: str | None) -> None:
        self.ref = ref
        self.expected = expected
        self.actual = actual
        super().__init__(ref, expected, actual)

    @override
    def __str__(self) -> str:
        return f"{self.ref} is at {self.actual}, expected {self.expected}"


class BranchTaken(Exception):  # noqa: N818 - named for what happened
    """The person's repository already has a branch of that name with other content.

    Attributes:
        branch: the short name.
        at: the id it points at.
    """

    def __init__(self, branch: str, at: str) -> None:
        self.branch = branch
        self.at = at
        super().__init__(branch, at)

    @override
    def __str__(self) -> str:
        return f"the branch {self.branch} already exists at {self.at}"
